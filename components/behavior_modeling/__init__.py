"""Component: train the masked-diffusion denoiser (GBR)."""
