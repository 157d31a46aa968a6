"""Loading settings: precedence, and messages a user can act on."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from pydatacoll.config import (
    cautions,
    effective,
    load_settings,
    locate,
    plugin_settings,
    reference,
    reference_rst,
    statement_lines,
)
from pydatacoll.errors import ConfigError
from pydatacoll.settings import AuthSettings, ServerSettings, Settings, TokenSettings


def write(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return file


def messages(*arguments: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(*arguments)
    return str(caught.value).splitlines()


def test_nothing_given_means_defaults() -> None:
    assert load_settings(None, {}, {}) == Settings()


def test_precedence_is_option_environment_file_default(tmp_path: Path) -> None:
    file = write(tmp_path, '[server]\nport = 1\nhost = "::1"\nmax_body = 7\n')
    environment = {"PYDATACOLL_SERVER__PORT": "2", "PYDATACOLL_SERVER__HOST": "127.0.0.2", "HOME": "/"}
    server = load_settings(file, environment, {"server.port": "3", "server.host": None}).server
    assert (server.port, server.host, server.max_body) == (3, "127.0.0.2", 7)
    assert server.max_batch == Settings().server.max_batch


def test_text_is_converted_and_lists_are_split() -> None:
    environment = {"PYDATACOLL_PLUGINS": " a, b ,", "PYDATACOLL_MANAGER__LEASE": "5", "PYDATACOLL_DATA_DIR": "rel"}
    settings = load_settings(None, environment, {"plugin_dirs": "x,y"})
    assert (settings.plugins, settings.manager.lease, settings.data_dir) == (["a", "b"], 5.0, "rel")
    assert settings.plugin_dirs == ["x", "y"]
    assert load_settings(None, {"PYDATACOLL_PLUGINS": ""}, {}).plugins == []


def test_a_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert load_settings(None, {}, {"data_dir": "~/plant"}).data_dir == "/home/me/plant"


def test_all_errors_are_named_with_file_and_line(tmp_path: Path) -> None:
    text = """\
data_dir = 5
plugins = [
    "a",
    7,
]

[server]
# a comment
prot = 9000
host = \"\"\"
[redis]
\"\"\"
port = 65536

[redis]
appendfsync = "sometimes"
port = 1

[manger]
lease = 1
[history]
length = true
[manager]
lease = nan
"""
    file = write(tmp_path, text)
    assert messages(file, {}, {}) == [
        f"{file}:1: data_dir: expected a text, got 5",
        f'{file}:2: plugins: expected a list, each a text, got ["a", 7]',
        f"{file}:9: server.prot: unknown setting; did you mean server.port?",
        f"{file}:13: server.port: expected an integer from 0 to 65535, got 65536",
        f'{file}:16: redis.appendfsync: expected one of always, everysec, no, got "sometimes"',
        f"{file}:17: redis.port: unknown setting; did you mean server.port?",
        f"{file}:19: manger: unknown setting; did you mean manager?",
        f"{file}:22: history.length: expected an integer from 0 to 100000, got true",
        f"{file}:24: manager.lease: expected a number > 0, got nan",
    ]


def test_errors_of_all_sources_are_reported_together(tmp_path: Path) -> None:
    file = write(tmp_path, "server.port = -1\n")
    environment = {
        "PYDATACOLL_SERVER__PROT": "1",
        "PYDATACOLL_SERVER__PORT": "http",
        "PYDATACOLL_HISTORY": "1",
        "PYDATACOLL_HISTORY__LENGTH": "2",
    }
    assert messages(file, environment, {"manager.processes": "-1", "log.level": "loud"}) == [
        f"{file}:1: server.port: expected an integer from 0 to 65535, got -1",
        "PYDATACOLL_HISTORY: expected a table",
        'PYDATACOLL_SERVER__PORT: expected an integer from 0 to 65535, got "http"',
        "PYDATACOLL_SERVER__PROT: unknown setting; did you mean server.port?",
        'manager.processes (given as an option): expected an integer >= 0, got "-1"',
        'log.level (given as an option): expected one of debug, error, info, warning, got "loud"',
    ]


def test_infinity_is_not_a_duration() -> None:
    assert messages(None, {"PYDATACOLL_MANAGER__LEASE": "inf"}, {}) == [
        "PYDATACOLL_MANAGER__LEASE: expected a number > 0, got inf"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = = 2\n", ":2: not valid TOML: Invalid value"),
        (b"a = 1\na = 2\n", ":2: not valid TOML: Cannot overwrite a value"),
        (b"\xff\xfe", ": is not UTF-8 text"),
        (b"a = " + b"[" * 100_000, ": is nested too deeply"),
    ],
)
def test_a_file_that_is_not_toml(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    assert messages(file, {}, {}) == [f"{file}{message}"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert messages(tmp_path / "none.toml", {}, {}) == [
        f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory"
    ]
    assert messages(tmp_path, {}, {}) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf[server]\r\nport = 5\r\nhots = 1\r\n")
    assert messages(file, {}, {}) == [f"{file}:3: server.hots: unknown setting; did you mean server.host?"]


def test_lines_of_arrays_of_tables() -> None:
    text = """\
[[auth.tokens]]
name = "a"

[[auth.tokens]]
name = "b"
list = [
 1,
]
[auth.tokens.more]
x = {y = 1}
"""
    lines = statement_lines(text)
    assert lines["auth", "tokens", 1] == 4
    assert lines["auth", "tokens", 0, "name"] == 2
    assert lines["auth", "tokens", 1, "list"] == 6
    assert lines["auth", "tokens", 1, "more", "x", "y"] == 10


def test_effective_settings_are_toml_and_load_again(tmp_path: Path) -> None:
    settings = load_settings(None, {}, {"server.port": 0, "plugins": ["a"], "plugin": {"x": {"n": [1, 2.5, "z"]}}})
    assert load_settings(write(tmp_path, effective(settings)), {}, {}) == settings


SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False), st.text("ab:=\"\\\n\x7fé#'")
)
KEYS = st.text("xyz é.\"'\n-", min_size=1, max_size=5)
TREES = st.recursive(
    st.dictionaries(KEYS, SCALARS, max_size=3),
    lambda inner: st.dictionaries(
        KEYS, st.one_of(inner, st.lists(inner, max_size=3), st.lists(SCALARS, max_size=3))
    ),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, TREES, max_size=3))
def test_any_plugin_table_survives_printing(tree: dict[str, Any]) -> None:
    text = effective(Settings(plugin=tree))
    assert tomllib.loads(text).get("plugin", {}) == tree


SECRETS = {
    "url": "mysql://user:s3cret@host/db?ssl_password=s3cret&x=1",
    "password": "s3cret",
    "api_token": ["s3cret", "s3cret"],
    "hash": "s3cret",
    "client_secret": 12345678,
    "upstream": {"dsn": "amqp://s3cret@host", "odd": "redis://u:s3c/r@et s3c@host", "user": "anna"},
    "tokens": [{"name": "x", "hash": "s3cret"}],
}


def test_secrets_are_masked() -> None:
    text = effective(
        load_settings(None, {"PYDATACOLL_REDIS__URL": "redis://:s3cret@h:1/0"}, {"plugin": {"p": SECRETS}})
    )
    assert "s3c" not in text
    assert "12345678" not in text
    assert 'url = "redis://:***@h:1/0"' in text
    assert 'url = "mysql://user:***@host/db?ssl_password=***&x=1"' in text
    assert 'user = "anna"' in text


def test_a_bad_value_of_a_secret_is_not_shown() -> None:
    environment = {"PYDATACOLL_PLUGIN": "redis://:s3cret@h"}
    assert "s3cret" not in "\n".join(messages(None, environment, {}))


class Archive(Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    rows: Annotated[int, Meta(ge=1, description="rows in one statement")] = 1000
    sort: bool = True


def test_a_plugin_gets_its_own_type(tmp_path: Path) -> None:
    file = write(tmp_path, '[plugin.archive]\nurl = "sqlite://"\nsort = false\n')
    settings = load_settings(file, {"PYDATACOLL_PLUGIN__ARCHIVE__ROWS": "5"}, {})
    assert plugin_settings(settings, "archive", Archive, file) == Archive("sqlite://", 5, False)


def test_errors_of_a_plugins_table(tmp_path: Path) -> None:
    file = write(tmp_path, '[plugin.archive]\nrows = 0\nsort = "perhaps"\nrow = 1\n')
    with pytest.raises(ConfigError) as caught:
        plugin_settings(load_settings(file, {}, {}), "archive", Archive, file)
    assert str(caught.value).splitlines() == [
        f"{file}:2: plugin.archive.rows: expected an integer >= 1, got 0",
        f"{file}:4: plugin.archive.row: unknown setting; did you mean plugin.archive.rows?",
        f'{file}:3: plugin.archive.sort: expected true or false, got "perhaps"',
        f"{file}:1: plugin.archive.url: missing; expected a text",
    ]


def test_the_reference_has_every_setting_with_a_meaning() -> None:
    docs = {doc.name: doc for doc in reference()}
    fields = {
        f"{table.name}.{field.name}"
        for table in msgspec.structs.fields(Settings)
        if isinstance(table.type, type) and issubclass(table.type, Struct)
        for field in msgspec.structs.fields(table.type)
    }
    assert fields - {"auth.tokens"} < set(docs)
    assert {"auth.tokens[].hash", "auth.tokens[].scope"} < set(docs)
    assert all(doc.meaning for doc in docs.values())
    assert docs["server.port"].default == "8080"
    assert docs["redis.appendfsync"].type == "one of always, everysec, no"
    assert "``server.port``" in reference_rst()
    assert [doc.default for doc in reference(Archive, "plugin.archive.")] == ["", "1000", "true"]


HASH = "0" * 64


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (
            f'[[auth.tokens]]\nname="a"\nhash="{HASH}"\nscope="read"\n' * 2,
            6,
            "auth.tokens[1].name: 'a' is the name",
        ),
        (
            f'[[auth.tokens]]\nname="a"\nhash="{HASH}"\nscope="read"\n'
            f'[[auth.tokens]]\nname="b"\nhash="{HASH}"\nscope="read"\n',
            7,
            "auth.tokens[1].hash: auth.tokens[0] has the same hash",
        ),
        ('[server]\n\ntls_key = "k.pem"\n', 3, "server.tls_key: a key without server.tls_cert"),
        ('[server]\nhost = " "\n', 2, "server.host: is empty"),
        ('[redis]\nurl = "localhost:6379"\n', 2, "redis.url: expected embedded, or redis://"),
        ('[redis]\nurl = "redis://h:port/0"\n', 2, "redis.url: the port must be a number"),
        ('[redis]\nurl = "redis:///0"\n', 2, "redis.url: names no server"),
        ('[redis]\nurl = "redis://h/plant"\n', 2, "redis.url: after the last / stands the number"),
        ('[redis]\nurl = "unix://"\n', 2, "redis.url: names no socket"),
        ("[manager]\nbackoff_min = 60\n", 2, "manager.backoff_min: 60 s is more than manager.backoff_max"),
        (
            '[manager]\nnetworks = ["10.0.0.0/8", "10.1.2.3/16"]\n',
            2,
            "manager.networks[1]: '10.1.2.3/16' is an address",
        ),
        ('[manager]\nnetworks = ["plant"]\n', 2, "manager.networks[0]: 'plant' is no network: write it as"),
        ('\nplugins = ["a", "b", "a"]\n', 2, "plugins: 'a' is named twice"),
        ('data_dir = ""\n', 1, "data_dir: is empty"),
    ],
)
def test_what_does_not_fit_together_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    file = write(tmp_path, text)
    found = messages(file, {}, {})
    assert any(message.startswith(f"{file}:{line}: {says}") for message in found), found
    assert all(HASH not in message for message in found)


def test_a_mistake_is_told_of_the_source_that_is_in_force(tmp_path: Path) -> None:
    file = write(tmp_path, '[redis]\nurl = "unix:///ok"\n')
    assert messages(file, {"PYDATACOLL_REDIS__URL": "no"}, {})[0].startswith("PYDATACOLL_REDIS__URL: expected")
    assert messages(file, {}, {"redis.url": "no"})[0].startswith("redis.url (given as an option): expected")
    secret = messages(None, {}, {"redis.url": "redis://u:hidden@h:99999/0"})
    assert "hidden" not in "".join(secret)


def test_an_error_found_later_is_located(tmp_path: Path) -> None:
    file = write(tmp_path, '[server]\nport = 1\n\n[redis]\nengine = "x"\n')
    environment = {"PYDATACOLL_SERVER__PORT": "2"}
    options = {"data_dir": "d"}

    def place(message: str) -> str:
        return locate(message, file, environment, options)

    assert place("redis.engine: x is no file") == f"{file}:5: redis.engine: x is no file"
    assert place("server.port: in use") == "PYDATACOLL_SERVER__PORT: in use"
    assert place("data_dir: in use") == "data_dir: in use"
    assert place("server.tls_cert: missing") == "server.tls_cert: missing"
    assert place("something else: happened") == "something else: happened"


def test_surprises_are_told_beforehand() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)

    def token(name: str, expires: datetime | None) -> TokenSettings:
        return TokenSettings(name=name, hash=HASH, scope="read", expires=expires)

    settings = Settings(
        auth=AuthSettings(
            tokens=[
                token("old", datetime(2026, 11, 20)),  # noqa: DTZ001 - without a zone it is UTC
                token("soon", datetime(2026, 12, 1, tzinfo=UTC)),
                token("fine", datetime(2027, 12, 1, tzinfo=UTC)),
                token("forever", None),
            ]
        ),
        server=ServerSettings(host="0.0.0.0"),
        plugin={"db_savr": {}},
    )
    told = [f"{setting}: {text}" for setting, text, _ in cautions(settings, now)]
    assert told == [
        "auth.tokens: the token 'old' expired 2026-11-20 00:00",
        "auth.tokens: the token 'soon' expires 2026-12-01 00:00",
        "plugin.db_savr: these are settings of a plugin that is not enabled",
        "server.tls_cert: tokens travel readable to 0.0.0.0",
    ]
    assert list(cautions(Settings(), now)) == []
