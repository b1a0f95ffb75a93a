"""What samples are: one file a modality. Each holds its samples, and how batches are made of them."""
