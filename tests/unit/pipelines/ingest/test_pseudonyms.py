import hashlib
import hmac
import stat
from types import SimpleNamespace

import polars as pl
import pytest

from pipelines.config.sections import PseudonymsSection
from pipelines.errors import NotFound, SettingsError, StateError
from pipelines.ingest.pseudonyms import check_key, id_encoder, pseudonym, reveal_id
from pipelines.storage.state import Store

KEY = b"0123456789abcdef0123456789abcdef"
IDS = pl.DataFrame({"household": ["0001", "0002", "0001", None], "value": [1, 2, 3, 4]})


@pytest.fixture
def site(tmp_path) -> SimpleNamespace:
    """Settings of a site with a key."""
    (tmp_path / "key").write_bytes(KEY + b"\n")
    (tmp_path / "key").chmod(0o600)
    return SimpleNamespace(root=tmp_path, pseudonyms=PseudonymsSection("key", "private/map.csv"))


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path / "out" / "anomaly.duckdb")
    made.prepare()
    return made


def test_a_code_is_the_keyed_hash_of_an_id():
    whole = hmac.new(KEY, b"0001", hashlib.sha256).hexdigest()
    assert pseudonym(KEY, "0001") == "h" + whole[:20] != pseudonym(KEY, "0002")


def test_ids_become_codes_and_each_can_be_revealed(site, store):
    encoded = id_encoder(site, store)(IDS)
    first, second = pseudonym(KEY, "0001"), pseudonym(KEY, "0002")
    assert encoded.rows() == [(first, 1), (second, 2), (first, 3), (None, 4)]
    assert [reveal_id(site, code) for code in (first, second)] == ["0001", "0002"]
    with pytest.raises(NotFound, match="does not hold h00; ask whoever keeps the map"):
        reveal_id(site, "h00")


def test_the_map_grows_and_only_its_owner_may_read_it(site, store, tmp_path):
    encode_ids = id_encoder(site, store)
    encode_ids(IDS)
    encode_ids(pl.DataFrame({"household": ['3, "B"\nrear']}))
    place = tmp_path / "private" / "map.csv"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert reveal_id(site, pseudonym(KEY, "0001")) == "0001"
    assert reveal_id(site, pseudonym(KEY, '3, "B"\nrear')) == '3, "B"\nrear'
    before = place.stat().st_mtime_ns
    encode_ids(IDS)
    assert place.stat().st_mtime_ns == before  # nothing new, nothing written


def test_without_a_key_ids_stay_and_there_is_nothing_to_reveal(store, tmp_path):
    plain = SimpleNamespace(root=tmp_path, pseudonyms=None)
    assert id_encoder(plain, store)(IDS) is IDS
    with pytest.raises(NotFound, match="ids of this site are in clear"):
        reveal_id(plain, "h00")


def test_a_state_keeps_to_the_key_it_was_begun_with(site, store, tmp_path):
    id_encoder(site, store)
    (tmp_path / "key").write_bytes(KEY[::-1])
    with pytest.raises(StateError, match="its ids are in clear or of another key"):
        id_encoder(site, store)
    with pytest.raises(StateError, match="its ids are codes or of another key"):
        id_encoder(SimpleNamespace(root=tmp_path, pseudonyms=None), store)


def test_a_state_begun_in_clear_takes_no_key(site, store):
    store.write_json("files.json", [])
    with pytest.raises(StateError, match="its ids are in clear or of another key"):
        id_encoder(site, store)


def test_a_key_that_cannot_be_used_is_told(site, tmp_path):
    assert "can be used, and only by this user" in check_key(tmp_path, site.pseudonyms)
    key = tmp_path / "key"
    key.chmod(0o640)
    with pytest.raises(SettingsError, match="can be read by others; chmod 600 it"):
        check_key(tmp_path, site.pseudonyms)
    key.write_bytes(b"short")
    with pytest.raises(SettingsError, match="holds 5 bytes, at least 32 are needed"):
        check_key(tmp_path, site.pseudonyms)
    key.unlink()
    with pytest.raises(SettingsError, match=r"cannot be read \(No such file or directory\); make one"):
        check_key(tmp_path, site.pseudonyms)
