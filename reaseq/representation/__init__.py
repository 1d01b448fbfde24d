"""Item vectors and codes: what the text of an item says, in a space that behaviour has shaped.

A frozen text encoder reads the title and the two views of an item's knowledge; an alignment head turns them into
z ∈ R^128; product quantisation turns z into L parallel codes. `stage.represent` makes the artifact,
`vectors.ItemVectors` reads it, `embedder.ItemEmbedder` gives vectors to items that came later.

Only the reading side is exported here, so that importing the package never imports torch.
"""

from reaseq.representation.codebook import Codebook
from reaseq.representation.errors import EncoderUnavailableError, RepresentationError
from reaseq.representation.vectors import ItemVectors

__all__ = ["Codebook", "EncoderUnavailableError", "ItemVectors", "RepresentationError"]
