"""Every setting of the service: one table, read from the environment and one TOML file.

This is the only module that reads environment variables. A value comes from the
command line, else from `PROBEWATCH_<NAME>`, else from `probewatch.toml` in the
working directory, else from the default. `docs/settings.md` is made from this
table by `settings_page`, and a test compares the two.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from probing.policy import Action

SETTINGS_FILE = "probewatch.toml"
PREFIX = "PROBEWATCH_"
OUR_OTHERS = frozenset({"PROBEWATCH_TEST_ASSETS"})
"""Variables with our prefix that are no settings of the service."""
DEFAULT_DATABASE = "sqlite:///var/probewatch.db"

_PUBLIC_URL = re.compile(r"https?://[^/?#@\s]+\Z")
_HOST_PORT = re.compile(r"\S+:[1-9][0-9]{0,4}\Z", re.ASCII)
_WEBHOOK = re.compile(r"https?://[^/?#\s]+\S*\Z")

ReleaseRule = Literal["scored", "immediate"]


class CannotStart(Exception):
    """The service must not start like this; the message says what to change."""


class SettingsError(CannotStart):
    """A setting cannot be used; says which, what was found and what is expected."""


class Settings(BaseSettings):
    """What an operator can choose, each with its unit in its name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        toml_file=SETTINGS_FILE,
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8700, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    keys_required: bool = Field(
        False,
        description="Demand an API key on loopback too, for a reverse proxy on the same machine. "
        "On any other address keys are always demanded.",
    )
    model: str = Field(
        "magpie",
        description="Model to serve: `magpie`, a Hugging Face directory, or a hub name that is "
        "in the local cache.",
    )
    model_name: str = Field(
        "",
        description="Name that `/v1/models` lists and requests must give; empty takes the last "
        "part of `model`.",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Precision of the forward pass; part of the fingerprint."
    )
    device: str = Field("cpu", description="Where the model runs: `cpu`, `cuda` or `cuda:N`.")
    probe_store: Path = Field(Path("var/probes"), description="Directory of published probes.")
    database_url: SecretStr = Field(
        SecretStr(DEFAULT_DATABASE),
        description="Flags, cases, records and keys: `sqlite:///PATH` for one machine, "
        "`postgresql://...` for several gateways.",
    )
    action: Action = Field(
        Action.FLAG,
        description="When a deciding probe crosses its threshold: `observe` records it, `flag` "
        "queues it for review and goes on, `halt` queues it and ends the answer before the token.",
    )
    release_rule: ReleaseRule = Field(
        "scored",
        description="`scored` releases a token after its own score is in; `immediate` releases it "
        "when it is sampled, and counts what went out before its score.",
    )
    streams_max: int = Field(32, ge=1, le=4096, description="Answers generated at once.")
    queue_requests_max: int = Field(
        256, ge=0, description="Requests that may wait; more get 429 with Retry-After."
    )
    choices_max: int = Field(8, ge=1, le=128, description="Answers that one request may ask for.")
    answer_tokens_max: int = Field(
        4096, ge=1, description="Longest answer in tokens, whatever a request asks for."
    )
    body_bytes_max: int = Field(
        4_194_304, ge=1024, description="Largest request body; a larger one gets 413."
    )
    step_timeout_seconds: float = Field(
        30.0, gt=0, description="Without a scored token for this long a stream has failed."
    )
    store_timeout_seconds: float = Field(
        5.0, gt=0, description="Longest wait for the database before text is withheld."
    )
    unready_seconds: float = Field(
        30.0,
        ge=0,
        description="After a stream failed unscored, `/readyz` is red for this long, or until an "
        "answer was scored to its end.",
    )
    drain_timeout_seconds: float = Field(
        30.0, ge=0, description="On SIGTERM, time for running answers to end before they are cut."
    )
    audit_anchor_file: str = Field(
        "",
        description="Append the head of the audit's chain to this file, best on another machine's "
        "disk; one file per database.",
    )
    audit_anchor_syslog: str = Field(
        "", description="Send it to the system's log: `/dev/log`, or `HOST:PORT` for UDP."
    )
    audit_anchor_webhook: SecretStr = Field(
        SecretStr(""), description="POST it as JSON to this URL; anything but 2xx is a failure."
    )
    audit_anchor_minutes: float = Field(
        10.0, gt=0, description="Time between two anchors; whatever is named above gets each."
    )
    audit_anchor_timeout_seconds: float = Field(
        10.0, gt=0, description="Longest wait for one anchor before it has failed."
    )
    public_url: str = Field(
        "",
        description="Address under which people reach the pages, as their browsers show it: "
        "`https://HOST`, where a proxy in front speaks TLS. Empty takes the one that is "
        "listened on.",
    )
    session_idle_seconds: float = Field(
        1_800.0, gt=0, description="Without a request for this long somebody is logged out."
    )
    session_absolute_seconds: float = Field(
        43_200.0, gt=0, description="After this long somebody has to log in again in any case."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log lines that are written, to standard error."
    )

    @field_validator("host")
    @classmethod
    def _host_is_an_address(cls, host: str) -> str:
        if host != "localhost":
            ipaddress.ip_address(host)
        return host

    @field_validator("public_url")
    @classmethod
    def _public_url_is_an_origin(cls, url: str) -> str:
        if url and not _PUBLIC_URL.match(url):
            raise ValueError("expected https://HOST or http://HOST:PORT, with nothing behind it")
        return url

    @field_validator("audit_anchor_syslog")
    @classmethod
    def _syslog_is_an_address(cls, address: str) -> str:
        if address and not address.startswith("/") and not _HOST_PORT.match(address):
            raise ValueError("expected a socket's path such as /dev/log, or HOST:PORT")
        return address

    @field_validator("audit_anchor_webhook")
    @classmethod
    def _webhook_is_a_url(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() and not _WEBHOOK.match(url.get_secret_value()):
            raise ValueError("expected a URL that begins with https:// or http:// and names a host")
        return url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, environment, TOML file; no dotenv and no secrets directory."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    @property
    def served_name(self) -> str:
        """The model's name on the wire."""
        return self.model_name or Path(self.model).name


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; `overrides` come from the command line, and None in them is no choice.

    Raises:
        SettingsError: a value does not fit, or the file or the environment names an unknown
            setting.
    """
    _refuse_unknown(os.environ)
    chosen = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        return Settings(**chosen)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    except ValueError as error:
        raise SettingsError(f"cannot read {SETTINGS_FILE}: {error}; correct the file") from None


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    """A mistyped variable would be dropped, and with it, say, the action `halt`."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    ours = {name for name in environment if name.upper().startswith(PREFIX)} - OUR_OTHERS
    unknown = sorted(name for name in ours if name.upper() not in known)
    if unknown:
        closest = get_close_matches(unknown[0].upper(), sorted(known), n=1, cutoff=0)[0]
        raise SettingsError(
            f"the environment names the unknown setting {unknown[0]}; the closest is {closest}; "
            "`probewatch settings` lists them all"
        )


def make_home(settings: Settings) -> None:
    """Create the default database's directory, where that is the one in use.

    A directory that an operator names must exist: if a lost mount were replaced by an
    empty directory, the review queue would look empty.
    """
    url = settings.database_url.get_secret_value()
    if url == DEFAULT_DATABASE:
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)


def _sentence(error: ValidationError) -> str:
    """Which settings are wrong and why, without the values: one could be a secret."""
    faults = []
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            faults.append(f"{SETTINGS_FILE} names the unknown setting {name!r}")
        else:
            faults.append(f"setting {name} ({PREFIX}{name.upper()}): {fault['msg']}")
    return "; ".join(faults) + "; `probewatch settings` lists them all"


def shown(settings: Settings) -> list[tuple[str, str]]:
    """Each setting with its value as it may be printed; secrets are masked."""
    return [(name, str(getattr(settings, name))) for name in Settings.model_fields]


def settings_page() -> str:
    """`docs/settings.md`: one row per setting."""
    lines = [
        "# Settings",
        "",
        "Made by `probewatch settings --markdown`; do not edit. A value comes from the command",
        f"line, else from the environment, else from `{SETTINGS_FILE}` in the working directory",
        "(the names in the first column, as plain keys), else it is the default.",
        "",
        "An environment variable that begins with `PROBEWATCH_` and is none of these is refused.",
        "Kubernetes sets such ones in every pod beside a Service named `probewatch`; give the",
        "pod `enableServiceLinks: false`.",
        "",
        "| setting | environment | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default
        value = default.get_secret_value() if isinstance(default, SecretStr) else str(default)
        shown_value = f"`{value}`" if value else "(empty)"
        lines.append(
            f"| `{name}` | `{PREFIX}{name.upper()}` | {shown_value} | {field.description} |"
        )
    return "\n".join(lines) + "\n"
