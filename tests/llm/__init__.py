"""Tests of the language-model room, on real HTTP endpoints where one is needed."""
