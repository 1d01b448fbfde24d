"""The ten claims as experiments: each arm trained once and kept, compared by paired bootstrap, judged by rule."""
