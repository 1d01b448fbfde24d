from pathlib import Path

import numpy as np
import pytest

from reaseq.representation.encoders import TextEncoder, encoder_identity, open_encoder, reopen_encoder
from reaseq.representation.errors import EncoderUnavailableError

TEXTS = [
    "Moisturising cream for very dry skin",
    "A lotion that keeps dehydrated skin soft",
    "Wireless gaming mouse with seven buttons",
    "Cordless computer mouse for players, seven buttons",
    "",
]


def opened(name: str, texts: list[str] = TEXTS, **options: object) -> TextEncoder:
    settings = {"seed": 0, "max_length": 32, "batch": 2, "threads": 1, "device": "cpu"} | options
    return open_encoder(name, texts=texts, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two narrow layers with random weights, saved as Hugging Face saves one."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    words = sorted({word for text in TEXTS for word in text.lower().replace(",", " ,").split()})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokens), **shape)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return opened("minilm")


def test_minilm_knows_what_means_the_same_without_a_shared_word(minilm: TextEncoder) -> None:
    cosine = (lambda e: e @ e.T)(minilm.encode(TEXTS))

    assert cosine[0, 1] > 0.5
    assert cosine[2, 3] > 0.7
    assert cosine[:2, 2:4].max() < 0.25
    assert minilm.provenance.dim == 384
    assert minilm.provenance.digest == encoder_identity("minilm")["digest"]


@pytest.mark.parametrize("name", ["minilm", "tfidf", "hf"])
def test_vectors_are_of_unit_length_and_do_not_depend_on_the_company(name: str, request, bert: Path) -> None:
    encoder = request.getfixturevalue("minilm") if name == "minilm" else opened(f"hf:{bert}" if name == "hf" else name)

    together = encoder.encode(TEXTS[:4])
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS[:4]])

    assert together.dtype == np.float32
    assert together.shape == (4, encoder.provenance.dim)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_bit_of_a_text_depends_on_how_many_others_are_encoded_with_it(threads: int) -> None:
    rng = np.random.default_rng(0)
    words = " ".join(TEXTS).split()
    texts = [" ".join(rng.choice(words, size)) for size in rng.integers(1, 80, 60)]
    encoder = opened("minilm", max_length=48, batch=16, threads=threads)

    together = encoder.encode(texts)

    for few in (rng.permutation(60), rng.permutation(60)[:17], [5], [40]):
        np.testing.assert_array_equal(encoder.encode([texts[n] for n in few]), together[few])


def test_what_a_vector_depends_on_is_in_the_recipe(minilm: TextEncoder) -> None:
    assert opened("minilm").recipe == minilm.recipe
    assert opened("minilm", max_length=16).recipe != minilm.recipe
    assert opened("minilm", threads=2).recipe != minilm.recipe
    assert (
        opened("tfidf").recipe == opened("tfidf", texts=TEXTS[::-1]).recipe != opened("tfidf", texts=TEXTS[1:]).recipe
    )


def test_any_hugging_face_folder_is_an_encoder_that_averages_over_its_tokens(bert: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    inputs = AutoTokenizer.from_pretrained(bert)(TEXTS[0], return_tensors="pt")
    mean = AutoModel.from_pretrained(bert)(**inputs).last_hidden_state[0].mean(0).detach().numpy()

    encoder = opened(f"hf:{bert}")

    np.testing.assert_allclose(encoder.encode(TEXTS[:2])[0], mean / np.linalg.norm(mean), atol=1e-5)
    assert encoder.provenance.dim == 16


def test_texts_are_read_up_to_the_limit(bert: Path) -> None:
    encoder = opened(f"hf:{bert}", max_length=5)

    long, cut = encoder.encode([TEXTS[0], " ".join(TEXTS[0].split()[:3])])

    np.testing.assert_allclose(long, cut, atol=1e-6)


def test_changed_weights_are_another_encoder(bert: Path, tmp_path: Path) -> None:
    from shutil import copytree

    copy = copytree(bert, tmp_path / "bert")
    encoder = opened(f"hf:{copy}")
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)

    assert encoder_identity(f"hf:{copy}")["digest"] != encoder.provenance.digest
    with pytest.raises(EncoderUnavailableError, match="weights"):
        reopen_encoder(encoder.provenance.as_json(), tmp_path, batch=2, threads=1, device="cpu")


@pytest.mark.parametrize("name", ["glove", "hf:", "hf:/nowhere/at/all", "hf:nobody/has-this-encoder"])
def test_an_encoder_that_is_not_there_names_the_field_and_the_alternatives(name: str, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(EncoderUnavailableError, match=r"representation\.encoder.*minilm.*hf:.*tfidf"):
        opened(name)


def test_a_broken_checkpoint_is_an_error(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((bert / "config.json").read_text())

    with pytest.raises(EncoderUnavailableError, match="does not load"):
        opened(f"hf:{tmp_path}")


def test_pickled_weights_are_not_read(bert: Path, tmp_path: Path) -> None:
    from shutil import copytree, ignore_patterns

    import torch
    from safetensors.torch import load_file

    copy = copytree(bert, tmp_path / "bert", ignore=ignore_patterns("*.safetensors"))
    torch.save(load_file(bert / "model.safetensors"), copy / "pytorch_model.bin")

    with pytest.raises(EncoderUnavailableError, match="does not load"):
        opened(f"hf:{copy}")


def test_tfidf_does_not_depend_on_the_order_of_the_catalogue_and_comes_back_from_disk(tmp_path: Path) -> None:
    encoder, other = opened("tfidf"), opened("tfidf", texts=TEXTS[::-1] + TEXTS[:1])
    encoder.save(tmp_path)

    again = reopen_encoder(encoder.provenance.as_json(), tmp_path, batch=2, threads=1, device="cpu")

    for same in (other, again):
        assert same.provenance == encoder.provenance
        np.testing.assert_array_equal(same.encode(TEXTS), encoder.encode(TEXTS))


def test_tfidf_needs_words() -> None:
    with pytest.raises(EncoderUnavailableError, match=r"representation\.encoder"):
        opened("tfidf", texts=["", "!"])
