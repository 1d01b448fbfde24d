"""The synthetic world: repeatable to the byte, long-tailed, and with a truth that its log only hints at."""

import re

import numpy as np
import polars as pl
import pytest

from reaseq import artifacts, config
from reaseq.data import stage
from reaseq.data.synthetic.needs import INDEX, NEEDS, NOISE, TASTE
from reaseq.data.synthetic.shelves import SHELVES


def make(folder, seed=0):
    workspace = artifacts.Workspace(folder / f"workspace{seed}")
    return stage.ingest(config.load("tiny", seed=seed), folder / "dataset", workspace)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second, other = make(tmp_path / "a"), make(tmp_path / "b"), make(tmp_path / "b", seed=1)
    for name in ("items.parquet", "interactions.parquet", "impressions.parquet", "beyond_log.parquet"):
        assert first.file(name).read_bytes() == (tmp_path / "a" / "dataset" / name).read_bytes()
        assert first.manifest.files[name].sha256 == second.manifest.files[name].sha256
        assert first.manifest.files[name].sha256 != other.manifest.files[name].sha256
    assert first.digest == second.digest


def test_the_world_has_the_size_that_was_asked_for(world):
    size = config.load("tiny").data.synthetic
    assert len(world.item_ids) == size.items
    logged, beyond = len(world.log.items), world.beyond_log().num_rows
    assert 0.85 < (logged + beyond) / (size.users * size.events_per_user) < 1.15
    assert 0.4 < logged / (logged + beyond) < 0.75


def test_a_domain_of_a_user_is_either_logged_or_beyond_the_log(world):
    log = pl.DataFrame(world.artifact.table("interactions.parquet")).select("user_id", "domain").unique()
    beyond = pl.DataFrame(world.beyond_log()).select("user_id", "domain").unique()
    assert log.join(beyond, on=["user_id", "domain"]).is_empty()
    assert log["domain"].n_unique() == beyond["domain"].n_unique() == len(SHELVES)


def test_the_truth_names_known_needs_and_the_log_none(world):
    causes = set(world.beyond_log().column("need").to_pylist())
    assert causes <= {need.name for need in NEEDS} | {TASTE, NOISE}
    assert len(causes) > 20
    assert "need" not in world.artifact.table("interactions.parquet").column_names


def test_new_items_are_seen_only_in_the_test_period(world):
    size = config.load("tiny").data.synthetic
    assert world.artifact.facts["source"]["new_items"] == round(size.new_item_share * size.items)
    first = np.full(len(world.item_ids) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, world.log.items, world.log.timestamps)
    fresh = (first >= world.test_start) & (first < np.iinfo(np.int64).max)
    assert fresh.sum() > 0.3 * size.new_item_share * size.items


def test_popularity_has_a_long_tail(world):
    counts = np.sort(np.bincount(world.log.items, minlength=len(world.item_ids) + 1)[1:])[::-1]
    assert counts[: len(counts) // 10].sum() > 0.3 * counts.sum()
    assert np.median(counts) < counts.mean()


def test_what_is_logged_tells_of_what_is_beyond(world):
    """A user's hidden needs are served by kinds of product that turn up more in this user's log than in another's."""
    serving: dict[str, set[str]] = {need.name: set() for need in NEEDS}
    for shelf in SHELVES:
        for product in shelf.products:
            for key, _ in product.needs:
                serving[NEEDS[INDEX[key]].name].add(product.noun)
    titles = dict(zip(world.item_ids, world.titles, strict=True))
    log = pl.DataFrame(world.artifact.table("interactions.parquet"))
    logged = {u: [titles[i] for i in items] for u, items in log.group_by("user_id").agg("item_id").rows()}
    truth = pl.DataFrame(world.beyond_log()).filter(~pl.col("need").is_in([TASTE, NOISE]))
    pairs = truth.select("user_id", "need").unique(maintain_order=True).sort(pl.all()).rows()
    users = sorted(logged)

    def share(user, need):
        mine = logged.get(user, [])
        return np.mean([any(noun in title for noun in serving[need]) for title in mine]) if mine else 0.0

    own = np.mean([share(user, need) for user, need in pairs])
    others = np.mean([share(users[n % len(users)], need) for n, (_, need) in enumerate(pairs)])
    assert own > 2 * others


def test_titles_never_name_the_need():
    for need in NEEDS:
        pattern = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in need.words), re.IGNORECASE)
        for shelf in SHELVES:
            for product in shelf.products:
                for part in (product.noun, *product.qualities, *product.variants, *shelf.brands):
                    assert not pattern.search(part), (need.name, part)


def test_every_need_reaches_over_several_domains():
    for need in NEEDS:
        domains = {s.domain for s in SHELVES for p in s.products if need.key in {key for key, _ in p.needs}}
        assert len(domains) >= 3, need.name


def test_titles_are_distinct(world):
    assert len(set(world.titles)) == len(world.titles)


@pytest.mark.parametrize("overrides", [{"users": 20, "items": 60, "days": 20}, {"items": 60, "new_item_share": 0.9}])
def test_small_worlds_stand(tmp_path, workspace, overrides):
    settings = {f"data.synthetic.{name}": value for name, value in overrides.items()}
    made = stage.ingest(config.load("tiny", overrides=settings), tmp_path / "dataset", workspace)
    assert made.facts["counts"]["items"] == 60
