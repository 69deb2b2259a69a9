"""Examples of every command, for its help: what is typed, and what comes of it."""

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "list": (("list", "every installed part"), ("list --json", "the same, for programs")),
    "sample": (
        ("sample -n 16", "16 new crystals in the folder crystals"),
        ("sample --composition SrTiO3 --potential dao-p --relax", "ranked structures of it"),
        ("sample miad --chemical-system Li-Mn-O -n 32 -o limno", "of exactly these elements"),
        ("sample wyckoff --composition LiFePO4 --space-group 62", "in a given space group"),
    ),
    "inpaint": (
        ("inpaint host.cif --guest Li=3 -n 8 --potential dao-p", "three lithium atoms in a host"),
        ("inpaint host.cif --guest Li=0:6", "as many as the sampler finds right"),
    ),
    "vary": (("vary crystal.cif --strength 0.3 -n 8", "eight neighbours of a crystal"),),
    "discover": (
        ("discover Li-Fe-P-O -n 20", "twenty candidates of a chemical system, with a report"),
        ("discover SrTiO3 --judge chgnet", "of a formula, ranked by another potential"),
    ),
    "relax": (
        ("relax my_cifs/ -o relaxed", "every crystal of a folder, and a table"),
        ("relax crystal.cif --potential chgnet", "with another potential"),
    ),
    "merge": (("merge part-0 part-1 -o merged", "two jobs of one run"),),
    "predict": (
        ("predict band-gap my_cifs/ -o gaps.csv", "one property of every crystal"),
        ("predict band-gap,formation-energy my_cifs/ -o table.csv", "two in one table"),
        ("predict band-gap known.csv -o table.csv --compare gap", "with the error of known values"),
    ),
    "evaluate": (("evaluate crystals/ -o report", "validity, novelty, stability, with a report"),),
    "pack": (("pack my_cifs/ -o data.safetensors", "a training set in one file"),),
    "label": (("label my_cifs/ -o labels.npz", "energies, forces and stresses by chgnet"),),
    "curate": (("curate my_cifs/ -o curated", "the sound crystals among many"),),
    "train": (
        (
            "train miad --data data.safetensors --from miad --minutes 60",
            "the shipped model, on data of yours",
        ),
        ("train dao-g-flow --data data.safetensors --steps 20000", "a new one"),
    ),
    "tasks": (
        ("tasks", "every table of a property"),
        ("tasks --json", "with sources and licences"),
    ),
    "finetune": (
        (
            "finetune --data table.csv --target gap --unit eV -o my-gap",
            "a predictor of a column of a table",
        ),
    ),
    "compose": (
        (
            "compose table.csv --property gap --unit eV -o my-gap",
            "a predictor of a column, from a few hundred rows",
        ),
        (
            "compose table.csv --property tc --unit K --transform log1p -o my-tc",
            "of values that spread over decades",
        ),
    ),
    "finetune-sampler": (
        (
            "finetune-sampler miad --data table.csv --property band_gap -o miad-band-gap",
            "a sampler that can be told a property",
        ),
    ),
    "export": (("export miad runs/miad -o my-miad --steps 100", "a training run, to draw from"),),
    "convert": (
        ("convert diffcsp epoch=999.ckpt -o weights/diffcsp", "weights for the sampler dao-g"),
        ("convert miad miad_mp20_epoch8000.pt --data mp_20 -o weights/miad", "for miad"),
    ),
    "benchmark": (
        (
            "benchmark denovo miad --training train.safetensors --validation val.safetensors",
            "first draws of a sampler, measured",
        ),
    ),
    "cite": (
        ("cite miad dao-p > works.bib", "what a paper that used both should cite"),
        ("cite", "all works"),
    ),
    "completion": (
        (
            "completion bash > ~/.local/share/bash-completion/completions/crysdiff",
            "for new shells of bash",
        ),
        ("completion zsh > ~/.zfunc/_crysdiff", "for zsh, with ~/.zfunc in fpath"),
        ("completion fish > ~/.config/fish/completions/crysdiff.fish", "for fish"),
    ),
    "doctor": (("doctor", "versions, devices, parts; 1 if something is wrong"),),
}


def epilog(command: str) -> str:
    """The examples of a command, as its help shows them."""
    lines = [f"  crysdiff {words}\n      {meaning}" for words, meaning in EXAMPLES[command]]
    return "examples:\n" + "\n".join(lines)
