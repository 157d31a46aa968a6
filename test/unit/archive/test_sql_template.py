"""Users' statements: placeholders become parameters, and nothing else gets through."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.archive.errors import TemplateError
from pydatacoll.archive.sql_template import SAVE_NAMES, WARN_NAMES, compile_template, statement_problem
from pydatacoll.archive.sql_tokens import Kind, tokens

KINDS: tuple[Kind, ...] = ("sqlite", "mysql", "postgresql")
VALUES = {name: f"<{name}>" for name in WARN_NAMES} | {"value": 1.5, "quality": 0}


def compiled(text: str, kind: Kind = "sqlite") -> tuple[str, tuple[object, ...]]:
    template = compile_template(text, kind)
    return template.sql("qmark"), template.parameters(VALUES)


@pytest.mark.parametrize(
    ("text", "sql", "parameters"),
    [
        ("INSERT INTO t VALUES (:value, :time)", "INSERT INTO t VALUES (?, ?)", (1.5, "<time>")),
        ("insert into t values ({PARAM.value})", "insert into t values (?)", (1.5,)),
        ("INSERT INTO t VALUES ('{PARAM.value}')", "INSERT INTO t VALUES (?)", (1.5,)),
        (
            "INSERT INTO t VALUES ('{PARAM.device_id}', {PARAM.value}, '{PARAM.time}')",
            "INSERT INTO t VALUES (?, ?, ?)",
            ("<device_id>", 1.5, "<time>"),
        ),
        (
            "INSERT INTO t VALUES ('a ''quoted'' {PARAM.device_id}: {PARAM.value}')",
            "INSERT INTO t VALUES (?)",
            ("a 'quoted' <device_id>: 1.5",),
        ),
        # no placeholders: in strings only the old form is one, and a cast is none
        ("INSERT INTO t VALUES ('10:30:00', ':value')", "INSERT INTO t VALUES ('10:30:00', ':value')", ()),
        ("UPDATE t SET a = :value WHERE b = 'x;y'", "UPDATE t SET a = ? WHERE b = 'x;y'", (1.5,)),
        ("  UPDATE t SET a = 1 ;\n -- the end", "UPDATE t SET a = 1", ()),
        ("UPDATE /* :nothing ; */ t SET a = 1", "UPDATE   t SET a = 1", ()),
        ("INSERT INTO t VALUES (:value,:value)", "INSERT INTO t VALUES (?,?)", (1.5, 1.5)),
    ],
)
def test_placeholders_become_parameters(text: str, sql: str, parameters: tuple[object, ...]) -> None:
    assert compiled(text) == (sql, parameters)


def test_casts_and_assignments_are_no_placeholders() -> None:
    assert compiled("INSERT INTO t VALUES (:value::float)", "postgresql")[0] == "INSERT INTO t VALUES (?::float)"
    assert compiled("UPDATE t SET a = (@x := 1)", "mysql")[0] == "UPDATE t SET a = (@x := 1)"


def test_styles_of_parameters() -> None:
    template = compile_template("UPDATE t SET a = a % :value WHERE b LIKE '5%' AND c = :time", "mysql")
    assert template.sql("format") == "UPDATE t SET a = a %% %s WHERE b LIKE '5%%' AND c = %s"
    assert template.sql("numeric") == "UPDATE t SET a = a % $1 WHERE b LIKE '5%' AND c = $2"
    assert template.names == {"value", "time"}


ATTACKS = [
    ("INSERT INTO t VALUES (1); DROP TABLE t", "one statement"),
    ("INSERT INTO t VALUES (1);;UPDATE t SET a=1", "one statement"),
    ("INSERT INTO t VALUES (1); 'x'", "one statement"),
    ("INSERT INTO t VALUES (1) ; :value", "one statement"),
    ("DROP TABLE t", "begins with INSERT, REPLACE, UPDATE or CALL, not with DROP"),
    ("/* INSERT */ DELETE FROM t", "not with DELETE"),
    ("-- INSERT\nTRUNCATE t", "not with TRUNCATE"),
    ("SELECT 1", "not with SELECT"),
    ("(INSERT INTO t VALUES (1))", "not with"),
    ("", "no statement"),
    ("-- only a comment", "no statement"),
    (";", "no statement"),
    ("INSERT INTO t VALUES (:secret)", "unknown placeholder 'secret'; known: value, time"),
    ("INSERT INTO t VALUES ({PARAM.__class__})", "unknown placeholder '__class__'"),
    ("INSERT INTO t VALUES ({PARAM.value.__class__.__mro__})", "is no placeholder"),
    ("INSERT INTO t VALUES ({PARAM.value!r})", "is no placeholder"),
    ("INSERT INTO t VALUES ({PARAM.value:>99999999})", "is no placeholder"),
    ("INSERT INTO t VALUES ({PARAM[value]})", "is no placeholder"),
    ("INSERT INTO t VALUES ({PARAM})", "is no placeholder"),
    ("INSERT INTO t VALUES ({ PARAM.value })", "is no placeholder"),
    ("INSERT INTO t VALUES ('{PARAM.value.real}')", "is no placeholder"),
    ("INSERT INTO t VALUES ('{PARAM.value')", "is no placeholder"),
    ("INSERT INTO t VALUES (?)", "? has no name"),
    ("INSERT INTO t VALUES ($1)", "$1 has no name"),
    ("INSERT INTO t VALUES ('open", "does not end"),
    ("INSERT INTO t VALUES (1) /* open", "does not end"),
    ('INSERT INTO "open', "does not end"),
    ("INSERT INTO t VALUES (1)\0; DROP TABLE t", "NUL"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("text", "message"), ATTACKS)
def test_attacks_are_refused(text: str, message: str, kind: Kind) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(text, kind)
    assert message in str(caught.value)


def test_what_only_one_database_would_execute_is_refused_there() -> None:
    for text in ("INSERT INTO t VALUES (1) /*! ; DROP TABLE t */", "UPDATE t /*M!100000 SET a=1 */"):
        with pytest.raises(TemplateError, match="is code for some databases"):
            compile_template(text, "mysql")
    # a quotation mark after a backslash is in the string for MySQL, and ends it for the others
    tricky = "INSERT INTO t VALUES ('\\'; DROP TABLE t; -- ')"
    assert compiled(tricky, "mysql")[0] == tricky
    for kind in ("sqlite", "postgresql"):
        with pytest.raises(TemplateError, match="one statement"):
            compile_template(tricky, kind)  # type: ignore[arg-type]
    # the other way round
    tricky = "INSERT INTO t VALUES ('\\', 1); DROP TABLE t -- '"
    with pytest.raises(TemplateError, match="one statement"):
        compile_template(tricky, "sqlite")
    with pytest.raises(TemplateError, match="one statement"):
        compile_template("INSERT INTO t VALUES (1) #;\n; DROP TABLE t", "mysql")
    with pytest.raises(TemplateError, match="one statement"):
        compile_template("INSERT INTO t VALUES (1) --;\n; DROP TABLE t", "mysql")
    with pytest.raises(TemplateError, match="one statement"):
        compile_template("INSERT INTO t VALUES ($a$;$a$); DROP TABLE t", "postgresql")
    with pytest.raises(TemplateError, match="one statement"):
        compile_template("INSERT INTO t VALUES (1) /* /* */ ; */; DROP TABLE t", "postgresql")
    with pytest.raises(TemplateError, match="one statement"):
        compile_template("INSERT INTO t VALUES (1) /* /* */ ; DROP TABLE t", "mysql")


def test_names_cannot_be_placeholders() -> None:
    with pytest.raises(TemplateError, match="cannot be a placeholder"):
        compile_template('INSERT INTO "{PARAM.value}" VALUES (1)', "sqlite")
    with pytest.raises(TemplateError, match="cannot be a placeholder"):
        compile_template("INSERT INTO `{PARAM.value}` VALUES (1)", "mysql")


def test_placeholders_of_alarms_are_known_there_alone() -> None:
    text = "INSERT INTO t VALUES (:warn_msg)"
    assert compile_template(text, "sqlite", WARN_NAMES).names == {"warn_msg"}
    assert "unknown placeholder 'warn_msg'" in (statement_problem("sqlite", "db_save_sql", text) or "")
    assert statement_problem("sqlite", "db_warn_sql", text) is None
    assert SAVE_NAMES.keys() < WARN_NAMES.keys()


def test_empty_values_in_a_longer_text_are_nothing() -> None:
    template = compile_template("INSERT INTO t VALUES ('v={PARAM.value} {PARAM.unit}')", "sqlite")
    assert template.parameters(VALUES | {"value": None, "unit": True}) == ("v= 1",)


PIECES = [
    "'",
    '"',
    "`",
    "--",
    "/*",
    "*/",
    "#",
    "\\",
    "$a$",
    "$",
    "[",
    "]",
    ";",
    "x",
    ":value",
    "{PARAM.value}",
    "''",
    "?",
]
FRAGMENTS = st.lists(
    st.sampled_from([*PIECES, "\n", " ", "%", ")", "1", ",", "E'", "INSERT INTO t VALUES ("]), max_size=14
).map("".join)


@given(FRAGMENTS, st.sampled_from(KINDS))
def test_pieces_are_the_whole(text: str, kind: Kind) -> None:
    try:
        pieces = list(tokens(text, kind))
    except TemplateError:
        return
    assert "".join(piece.text for piece in pieces) == text


@given(FRAGMENTS, st.text("'\";-\\/*x", max_size=8))
def test_whatever_sqlite_takes_is_one_statement_that_holds_no_value(fragments: str, value: str) -> None:
    """The judge is SQLite itself: its own parser is asked whether what we take is more than one statement."""
    try:
        template = compile_template("INSERT INTO t VALUES (" + fragments, "sqlite")
    except TemplateError:
        return
    database = sqlite3.connect(":memory:")
    try:
        database.execute("CREATE TABLE t (a)")
        parameters = template.parameters(VALUES | {"value": value})
        assert value not in parameters or template.sql("qmark").count("?") >= 1
        try:
            database.execute(template.sql("qmark"), parameters)
        except sqlite3.ProgrammingError as error:
            assert "one statement" not in str(error)  # noqa: PT017 - other errors are fine
        except sqlite3.Error:
            return  # it is no SQL, which sql_check would tell
        else:
            assert database.execute("SELECT count(*) FROM t").fetchone()[0] >= 1
    finally:
        database.close()
