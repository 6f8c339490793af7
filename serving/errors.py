"""Everything that serving can refuse, under one base class.

ServingError
├── ModelUriError       a model URI cannot be read
├── SettingsError       an option or a file it names is wrong; nothing was started
├── RegistryUnreachable the registry cannot be asked right now
├── VersionRefused      a version cannot serve: absent, altered, or its environment cannot be built
├── BuildFailed         an image could not be built
├── HostFailed          a model host did not load, died, hung or broke the protocol
│   └── HostSilent      it said nothing for as long as it may take
├── JobRefused          a batch job may not start: another job owns the output, or it differs
└── JobFailed           a batch job cannot go on; what was done stays done
    └── TooManyBadRows  more rows were refused than the job allows

A message names what was found and what to do about it. HTTP codes are assigned in
`cloche.serving.api` and `cloche.serving.dispatch`, exit codes in `cloche.main`, not here.
"""


class ServingError(Exception):
    """Base class: whoever runs a command sees its message, and no traceback."""


class ModelUriError(ServingError):
    """A model URI cannot be read."""


class SettingsError(ServingError):
    """An option, an environment variable or a file it names is wrong."""


class RegistryUnreachable(ServingError):
    """The registry cannot be asked right now; what is served stays served."""


class VersionRefused(ServingError):
    """A version cannot serve, and will not until somebody changes it."""


class BuildFailed(ServingError):
    """An image could not be built."""


class HostFailed(ServingError):
    """A model host did not load its version, died, hung or broke the protocol."""


class HostSilent(HostFailed):
    """A model host said nothing for as long as it may take."""


class JobRefused(ServingError):
    """A batch job may not start: another one owns the output, or what it began from has changed."""


class JobFailed(ServingError):
    """A batch job cannot go on; what was done stays done."""


class TooManyBadRows(JobFailed):
    """More rows were refused than the job allows."""
