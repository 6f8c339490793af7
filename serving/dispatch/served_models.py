"""The models of one server by name: those in its settings, or all that have an alias."""

import asyncio
import logging
from collections.abc import Callable, Iterator

from cloche.serving.dispatch.registry_poller import RegistryPoller
from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.errors import ServingError
from cloche.serving.registry.client import Registry
from cloche.serving.registry.uri import ModelUri, is_valid_name, with_alias

_LIST_SECONDS = 30.0
_LISTED_SECONDS = 30.0  # the list gives the versions of an alias; each model reads its own tags
_logger = logging.getLogger(__name__)


class ServedModels:
    """The served models. Each follows its own URI in a task of its own.

    Attributes:
        alias: The alias of all models to serve; empty if models were named in the settings.
        complete: Whether the list of models to serve is known.
        problem: Why the list could not be read last; empty if it was read.
        warning: What in the settings fits none of the models; empty if all does.
        changes: The number of times that a model was added or removed.
        draining: Whether the server is about to stop, and therefore not ready.
    """

    def __init__(
        self,
        make: Callable[[ModelUri], ServedModel],
        interval: float,
        changed: Callable[["ServedModels"], None] = lambda _: None,
    ) -> None:
        """Serve nothing yet; `changed` is called when models came or went."""
        self._make_model = make
        self._changed = changed
        self._interval = interval
        self._models: dict[str, ServedModel] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[asyncio.Task[None], ServedModel] = {}
        self._poller: RegistryPoller | None = None
        self._unservable_names: set[str] = set()
        self._listed: dict[str, str] = {}
        self.alias = ""
        self.complete = True
        self.problem = ""
        self.warning = ""
        self.changes = 0
        self.draining = False

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    def get(self, name: str) -> ServedModel | None:
        """The model that is served under `name`; None if there is none."""
        return self._models.get(name)

    @property
    def only(self) -> ServedModel | None:
        """The served model, if there is exactly one."""
        return next(iter(self)) if len(self._models) == 1 else None

    @property
    def ready(self) -> bool:
        """Whether every model can answer requests, and the server is not about to stop."""
        return self.complete and not self.draining and all(model.ready for model in self)

    def set_warning(self, warning: str) -> None:
        """Set `warning`, and log it if it is another one."""
        if warning and warning != self.warning:
            _logger.warning("%s", warning)
        self.warning = warning

    def add(self, uri: ModelUri) -> None:
        """Serve the model behind `uri` from now on."""
        self.changes += 1
        model = self._models[uri.name] = self._make_model(uri)
        interval = max(self._interval, _LISTED_SECONDS) if self.alias else self._interval
        self._tasks[uri.name] = asyncio.create_task(model.follow(interval))

    def remove(self, name: str) -> None:
        """Stop serving a model; its running requests are finished in the background."""
        self.changes += 1
        self._tasks.pop(name).cancel()
        model = self._models.pop(name)
        leaving = asyncio.create_task(model.drain())
        self._leaving[leaving] = model
        leaving.add_done_callback(lambda _: self._leaving.pop(leaving))

    async def follow_alias(self, alias: str, registry: Registry) -> None:
        """Serve every registered model that has `alias`, until this task is cancelled."""
        self.alias, self.complete = alias, False
        self._changed(self)
        poller = self._poller = RegistryPoller(
            registry, "versions_with_alias", _LIST_SECONDS, alias=alias
        )
        while True:
            try:
                self._apply_list(await poller.poll(), alias)
                self.complete, self.problem = True, ""
                self._changed(self)
            except ServingError as error:
                if str(error) != self.problem:
                    _logger.error("%s", error)  # noqa: TRY400  # a traceback would add nothing
                    for model in self:
                        model.wake()  # so that it checks whether the registry answers it
                self.problem = str(error)
            await poller.rest(self._interval)

    def wake(self) -> None:
        """Poll the registry now instead of after the pause."""
        if self._poller is not None:
            self._poller.wake()  # its answer wakes the models whose version changed
            return
        for model in self:
            model.wake()

    async def close(self) -> None:
        """Stop polling, and close every version pool."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(model.close() for model in (*self._leaving.values(), *self)))

    def _apply_list(self, versions: dict[str, str], alias: str) -> None:
        """Serve exactly the models with the alias, and wake those whose version changed."""
        names = versions.keys()
        for name in self._models.keys() - names:
            _logger.info("No longer served: the alias is gone.", extra={"model": name})
            self.remove(name)
        for name in sorted(names - self._models.keys() - self._unservable_names):
            if is_valid_name(name):
                self.add(with_alias(name, alias))
                continue
            self._unservable_names.add(name)
            _logger.error(
                "Not served: this name is invalid in current MLflow, and cannot be part of a URL. "
                "Serve the version under another name: cloche serve NAME=runs:/RUN/model",
                extra={"model": name},
            )
        for name, model in self._models.items():
            model.read_at = asyncio.get_running_loop().time()
            if self._listed.get(name, versions[name]) != versions[name]:
                model.wake()
        self._listed = versions
