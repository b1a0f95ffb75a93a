"""Secrets: what looks like credentials, and the words that were learned."""

import traceback

import pytest

from scaling.core.secrets import HIDDEN, cleanse, learn, learn_environment, lift, mask, restore


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("htp:/me:hunter2@host", "htp:/***@host"),
        ("http:///me:hunter2@host", "http:///***@host"),
        ("['n=1', 'tracking.uri=me:hunter2@host', 'x=3']", "['n=1', 'tracking.uri=***@host', 'x=3']"),
        ("http:/token@host", "http:/***@host"),
        ("postgresql://db/runs?sslmode=require&sslpassword=hunter2", "postgresql://db/runs?sslmode=require&sslpassword=***"),
        ("http://h/x?access_token=abc&b=2", "http://h/x?access_token=***&b=2"),
        ("connection password='hunter2' host=x", "connection password='***' host=x"),
        ('{"password": "hunter2", "a": 1}', '{"password": "***", "a": 1}'),
        ("{'Authorization': 'Basic bWU6aHVudGVyMg=='}", "{'Authorization': 'Basic ***'}"),
        ("https://s3/x?X-Amz-Signature=abc&sig=12", "https://s3/x?X-Amz-Signature=***&sig=***"),
        ("AWS_SECRET_ACCESS_KEY=abc/def", "AWS_SECRET_ACCESS_KEY=***"),
        ("max_tokens=5 bypass=3 compass=4", "max_tokens=5 bypass=3 compass=4"),
        ("git@github.com:me/x.git", "git@github.com:me/x.git"),
        ("sqlite:////home/me@work/x:y.db", "sqlite:////home/me@work/x:y.db"),
        ("[ 3/12] n=10 seed=0  test 0.8123", "[ 3/12] n=10 seed=0  test 0.8123"),
    ],
)  # fmt: skip
def test_what_looks_like_credentials_is_hidden_and_all_else_is_kept(text, shown):
    assert mask(text) == shown


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:p%40ss%20word@host/x",
        "http://me:p@ss word@host/x",
        "postgresql+psycopg2://me:p@ss word@host/x",
        "htp:/me:p@ss word@host",
        "me:p@ss word@host",
    ],
)
@pytest.mark.parametrize("form", ["p@ss word", "p%40ss%20word", "p%40ss+word", "me:p@ss word", "bWU6cEBzcyB3b3Jk"])
def test_a_learned_password_is_hidden_however_it_is_written(uri, form):
    learn(uri)
    assert mask(f"before <{form}> after") == f"before <{HIDDEN}> after"


def test_a_token_without_a_user_is_learned():
    learn("https://glpat-1234@host")
    assert mask("glpat-1234 was refused") == "*** was refused"


def test_a_short_word_is_hidden_only_where_it_is_surely_meant():
    learn("http://me:n@host")
    assert mask("n=100 me:n http://me:n@host") == "n=100 *** http://***@host"


def test_names_that_results_are_found_by_keep_a_word_that_is_a_password_by_chance():
    learn("http://me:digits@host")
    assert mask("digits") == HIDDEN
    assert mask("digits", words=False) == "digits"


@pytest.mark.parametrize("uri", ["sqlite:////home/me@work/mlflow.db", "http://host/path@x", "http://host"])
def test_a_path_is_no_secret(uri):
    learn(uri)
    assert mask("/home/me host path") == "/home/me host path"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_TRACKING_PASSWORD", "correct horse"),
        ("MLFLOW_TRACKING_TOKEN", "correct horse"),
        ("AWS_SECRET_ACCESS_KEY", "correct horse"),
        ("HTTPS_PROXY", "http://me:correct horse@proxy"),
    ],
)
def test_secrets_of_the_environment_are_learned(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "perhaps")
    learn_environment()
    assert mask("correct horse, perhaps") == "***, perhaps"


def test_a_lifted_uri_holds_no_credentials_and_is_found_again():
    uri = "http://me:hunter2@host/x"
    assert lift(uri) == "http://***@host/x"
    assert restore("http://***@host/x") == uri
    assert lift("http://***@host/x") == "http://***@host/x"
    assert lift("http://host/y") == restore("http://host/y") == "http://host/y"


def test_an_error_and_those_behind_it_say_no_secret_whoever_prints_them():
    inner, outer = KeyError(ValueError("at http://me:hunter2@a")), OSError("at http://me:hunter2@b")
    inner.__context__, outer.__cause__ = outer, inner  # in a ring, too
    cleanse(outer)
    told = "".join(traceback.format_exception(outer))
    assert "hunter2" not in told
    assert "http://***@a" in told
    assert "http://***@b" in told


@pytest.mark.parametrize(
    ("text", "shown"), [("gr\udcc3\udcb6\udcc3\udc9fe", "größe"), ("\udcff", "\ufffd"), ("\ud800", "?")]
)
def test_undecoded_bytes_of_a_name_become_what_can_be_written(text, shown):
    assert mask(text) == shown
