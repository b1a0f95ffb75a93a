"""The configs, importable so that Hydra finds them inside an installed wheel."""
