"""The base of every system's settings: defaults, runbook.toml, `*_FILE`, environment; later ones win."""

import os
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from runbook.errors import UsageError


class Group(BaseSettings):
    """Settings of one system. Values given at construction (runbook.toml) lose against the environment."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", case_sensitive=False, env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Rank the sources: environment, `*_FILE`, then runbook.toml."""
        prefix = env_settings.env_prefix if isinstance(env_settings, EnvSettingsSource) else ""
        return env_settings, _SecretFiles(settings_cls, prefix), init_settings


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads `VARIABLE_FILE` for every field that is or may hold a secret, as container images do."""

    def __init__(self, settings_cls: type[BaseSettings], prefix: str) -> None:
        super().__init__(settings_cls)
        self._prefix = prefix

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401 - vendor's
        """Return the stripped content of the named file, if the variable is set."""
        is_secret = "SecretStr" in str(field.annotation) or not field.repr
        variable = f"{self._prefix}{field_name}_FILE".upper()
        path = os.environ.get(variable) if is_secret else None
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"The secret file could not be read: {error}", where=variable, fix=f"correct {variable}"
            ) from None

    def __call__(self) -> dict[str, Any]:
        """Collect the secrets that were given by file."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self._fields()}
        return {name: value for name, value in found.items() if value is not None}

    def _fields(self) -> list[tuple[str, Any]]:
        return list(self.settings_cls.model_fields.items())
