"""Settings: one table, three sources, and no secret in sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, load_settings, make_home, settings_page, shown

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_page_of_settings_is_the_table_of_settings() -> None:
    assert (DOCS / "settings.md").read_text() == settings_page(), (
        "run `probewatch settings --markdown > docs/settings.md`"
    )


def test_every_setting_is_documented() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, f"{name} has no description"


def test_the_command_line_beats_the_environment_beats_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("probewatch.toml").write_text('port = 1\nhost = "127.0.0.2"\naction = "halt"\n')
    monkeypatch.setenv("PROBEWATCH_PORT", "2")
    monkeypatch.setenv("PROBEWATCH_HOST", "127.0.0.3")

    read = load_settings({"port": 3, "model": None})

    assert (read.port, read.host, read.action.value) == (3, "127.0.0.3", "halt")


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("prot = 1", "'prot'"),
        ("port = 99999", "PROBEWATCH_PORT"),
        ('host = "example"', "PROBEWATCH_HOST"),
        ('action = "hold"', "PROBEWATCH_ACTION"),
        ("port = ", "probewatch.toml"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(file: str, named: str) -> None:
    Path("probewatch.toml").write_text(file)

    with pytest.raises(SettingsError) as error:
        load_settings()

    assert named in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("PROBEWATCH_ACTON", "PROBEWATCH_ACTION"),
        ("probewatch_port_", "PROBEWATCH_PORT"),
        ("PROBEWATCH_XYZ", "PROBEWATCH_"),
    ],
)
def test_a_mistyped_variable_is_refused_and_the_closest_setting_named(
    monkeypatch: pytest.MonkeyPatch, name: str, closest: str
) -> None:
    """An operator who wrote PROBEWATCH_ACTON=halt would believe that answers are halted."""
    monkeypatch.setenv(name, "hunter2")

    with pytest.raises(SettingsError) as error:
        load_settings()

    assert name in str(error.value)
    assert f"the closest is {closest}" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_other_variables_are_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBEWATCH_TEST_ASSETS", "somewhere")
    monkeypatch.setenv("PROBE_WATCH", "somewhere")
    monkeypatch.setenv("probewatch_port", "7")

    assert load_settings().port == 7


def test_a_database_password_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBEWATCH_DATABASE_URL", "postgresql://u:hunter2@db/p")

    read = load_settings()

    assert "hunter2" not in f"{read!r} {read} {shown(read)} {read.model_dump_json()}"
    assert read.database_url.get_secret_value().endswith("hunter2@db/p")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_known(host: str) -> None:
    assert load_settings({"host": host}).on_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7"])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not load_settings({"host": host}).on_loopback


def test_only_the_default_databases_directory_is_made() -> None:
    """A lost mount that is replaced by an empty directory would look like an empty queue."""
    make_home(load_settings())
    make_home(load_settings({"database_url": "sqlite:///mount/review.db"}))

    assert Path("var").is_dir()
    assert not Path("mount").exists()
