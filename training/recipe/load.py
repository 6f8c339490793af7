"""Loads recipes from YAML files and shipped recipes; all mistakes are reported at once."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from cloche.training.errors import RecipeError
from cloche.training.recipe import estimators, yaml_document
from cloche.training.recipe.cross_checks import disagreements, is_database
from cloche.training.recipe.overrides import OverrideError, apply
from cloche.training.recipe.problems import explain
from cloche.training.recipe.schema import Recipe
from cloche.training.recipe.sections import Data
from cloche.training.recipe.suggestions import suggestion
from cloche.training.recipe.values import mask
from cloche.training.recipe.yaml_document import MAX_BYTES, Document, DocumentError

_SUFFIXES = (".yaml", ".yml")


def load_recipe(
    name_or_path: str, overrides: Sequence[str] = (), data: str | None = None
) -> Recipe:
    """Read a recipe, apply the overrides, and validate the result.

    Args:
        name_or_path: Name of a shipped recipe, or path of a YAML file.
        overrides: `key.sub.key=value` strings, with values in YAML.
        data: Source that replaces `data.source`.

    Raises:
        RecipeError: The file, the overrides or the estimator have mistakes; the error lists all of
            them.
    """
    read = _read(name_or_path)
    values, lines, problems = dict(read.values), dict(read.lines), list[str]()
    for override in overrides:
        try:
            values = apply(values, override)
        except OverrideError as error:
            problems.append(str(error))
        key = tuple(override.partition("=")[0].strip().split("."))
        lines = {path: line for path, line in lines.items() if path[: len(key)] != key}
    if data is not None:
        values["data"] = _with_source(values.get("data"), data)
        lines = {path: line for path, line in lines.items() if path[:1] != ("data",)}
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        problems += explain(error, Recipe, values, lines)
        sound = _valid_parts(error, values)
        problems += disagreements(sound)
    else:
        sound = {name: getattr(recipe, name) for name in Recipe.model_fields}
    problems += estimators.problems_of(
        sound.get("estimator"), search=sound.get("search"), task=sound.get("task")
    )
    if recipe is None or problems:
        raise RecipeError(name_or_path, list(dict.fromkeys(problems)))
    return recipe


def data_section(values: Mapping[str, Any]) -> Data:
    """Validate a data section by itself.

    Raises:
        RecipeError: The section has mistakes; the error lists all of them.
    """
    try:
        data = Data.model_validate(values)
    except ValidationError as error:
        problems = explain(error, Data, values, {})
        raise RecipeError(mask(str(values.get("source"))), problems) from None
    problems = disagreements({"data": data})
    if problems:
        raise RecipeError(data.source, problems)
    return data


def dump_recipe(recipe: Recipe) -> str:
    """Return YAML that loads to an equal recipe, with the defaults written out."""
    return yaml_document.render(_plain(recipe.model_dump(by_alias=True)))


def shipped() -> dict[str, str]:
    """Return the first line of the description of each recipe in Cloche, by the recipe's name."""
    found = {}
    for name, file in _shipped_files().items():
        description = yaml_document.parse(file.read_text(encoding="utf-8")).values["description"]
        found[name] = description.strip().splitlines()[0]
    return found


def _shipped_files() -> dict[str, Any]:
    folder = resources.files("cloche.training.recipe").joinpath("shipped")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file for file in files if file.name.endswith(".yaml")}


def _read(name_or_path: str) -> Document:
    files = _shipped_files()
    if name_or_path in files:
        return _parse(name_or_path, files[name_or_path].read_text(encoding="utf-8"))
    return _parse(name_or_path, _file_text(name_or_path))


def _parse(source: str, text: str) -> Document:
    try:
        return yaml_document.parse(text)
    except DocumentError as error:
        raise RecipeError(source, [str(error)]) from None


def _file_text(source: str) -> str:
    path = Path(source)
    if path.is_dir():
        raise RecipeError(source, ["is a directory; name the YAML file"])
    if not path.exists():
        names = list(_shipped_files())
        near = [str(file) for file in path.parent.glob("*") if file.suffix in _SUFFIXES]
        hints = [f"no such file, and no shipped recipe of that name ({', '.join(names)})"]
        hint = suggestion(source, [*names, *near])
        hints += [hint] if hint.startswith("did") else []
        raise RecipeError(source, ["; ".join(hints)])
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError(source, [f"is larger than {MAX_BYTES:,} bytes; is it a recipe?"])
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise RecipeError(source, ["is no text file in UTF-8; is it a recipe?"]) from None
    except OSError as error:
        raise RecipeError(source, [f"cannot be read: {error.strerror}"]) from None


def _with_source(section: Any, source: str) -> dict[str, Any]:
    """Return the recipe's data section for another source, without options that do not fit it."""
    changed = {**section, "source": source} if isinstance(section, Mapping) else {"source": source}
    named = source.startswith(("sample:", "log:"))
    if changed.get("format") == "sample" or is_database(source) or named:
        changed.pop("format", None)
    if changed.get("format") == "sql":
        changed.pop("format")
    if not is_database(source):
        changed.pop("query", None)
    return changed


def _valid_parts(error: ValidationError, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a recipe that are valid by themselves, for the checks between parts."""
    wrong = {item["loc"][0] for item in error.errors() if item["loc"]}
    parts = {}
    for name, field in Recipe.model_fields.items():
        if name in values and name not in wrong:
            alone: Any = Annotated[field.annotation, field]
            parts[name] = TypeAdapter[Any](alone).validate_python(values[name])
    return parts


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(by_alias=True))
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
