"""Errors of the knowledge room."""

from reaseq.errors import ReaSeqError


class KnowledgeError(ReaSeqError):
    """A setting, a prompt version or an input table does not allow distillation."""


class AnswerRefused(KnowledgeError):
    """An agent gave no usable answer within its attempts; the item falls back to its title."""
