"""The exceptions of serving, under one base class.

ServingError
├── ModelUriError       a model URI cannot be parsed
├── SettingsError       an option or a file it names is wrong; nothing was started
├── RegistryUnreachable the registry does not answer right now
├── VersionRefused      a version cannot serve: absent, altered, or its environment cannot be built
├── BuildFailed         an image could not be built
├── HostFailed          a model host did not load, died, hung or broke the protocol
│   └── HostSilent      a model host did not answer within its time limit
├── JobRefused          a batch job may not start: another job owns the output, or inputs changed
└── JobFailed           a batch job cannot go on; finished parts are kept
    └── TooManyBadRows  more rows were refused than the job allows

A message names what was found and what to do about it. HTTP status codes are assigned in
`cloche.serving.api`, `web` and `host`, exit codes in `cloche.main`, not here.
"""

RESUME = "What was done stays done: go on with --resume."
"""How a job goes on that stopped for want of something; `cloche score` has another sentence for a
job whose input cannot be read twice."""


class ServingError(Exception):
    """The base class of serving's errors: commands print the message without a traceback."""


class ModelUriError(ServingError):
    """A model URI cannot be parsed."""


class SettingsError(ServingError):
    """An option, an environment variable or a file it names is wrong."""


class RegistryUnreachable(ServingError):
    """The registry does not answer right now; versions that serve go on serving."""


class VersionRefused(ServingError):
    """A version cannot serve, and retrying is useless until somebody changes it."""


class BuildFailed(ServingError):
    """An image could not be built."""


class HostFailed(ServingError):
    """A model host did not load its version, died, hung or broke the protocol."""


class HostSilent(HostFailed):
    """A model host did not answer within its time limit."""


class JobRefused(ServingError):
    """A batch job may not start: another job owns the output, or the job's inputs have changed."""


class JobFailed(ServingError):
    """A batch job cannot go on; its finished parts are kept."""


class TooManyBadRows(JobFailed):
    """More rows were refused than the job allows."""
