"""The networks of DiffCSP, MiAD and FlowMM with the names that their parameters were published
under: one crystal at a time, one atom after the other.

Written from the papers' equations and the published shapes; the oracle for the conversion.
"""

import math
import pickle
import sys
import types
from collections import OrderedDict

import torch
from torch import nn

HIDDEN, LAYERS, WAVES = 16, 2, 5


def two_maps(inputs, hidden):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())


def waves(difference):
    """Sines of all frequencies of the first axis, then of the second, ...; then cosines."""
    angles = torch.cat([2 * math.pi * torch.arange(WAVES) * x for x in difference])
    return torch.cat([angles.sin(), angles.cos()])


class Layer(nn.Module):
    def __init__(self, edge_columns, counts=False):
        super().__init__()
        if counts:
            self.num_atom_embedding = nn.Linear(100, HIDDEN, bias=False)
        self.edge_mlp = two_maps(edge_columns, HIDDEN)
        self.node_mlp = two_maps(2 * HIDDEN, HIDDEN)
        self.layer_norm = nn.LayerNorm(HIDDEN)

    def forward(self, nodes, edge_input, to_itself):
        normed = self.layer_norm(nodes)
        rows = []
        for i in range(len(nodes)):
            others = [j for j in range(len(nodes)) if to_itself or j != i]
            messages = [self.edge_mlp(edge_input(self, normed, i, j)) for j in others]
            mean = torch.stack(messages).mean(0) if messages else torch.zeros_like(normed[i])
            rows.append(nodes[i] + self.node_mlp(torch.cat([normed[i], mean])))
        return torch.stack(rows)


class DiffCSP(nn.Module):
    """Of given elements, or, with `generates`, of elements that are generated as in MiAD."""

    def __init__(self, generates=False):
        super().__init__()
        self.node_embedding = nn.Linear(100, HIDDEN) if generates else nn.Embedding(100, HIDDEN)
        self.atom_latent_emb = nn.Linear(HIDDEN + 256, HIDDEN)
        for i in range(LAYERS):
            self.add_module(f"csp_layer_{i}", Layer(2 * HIDDEN + 9 + 6 * WAVES))
        self.coord_out = nn.Linear(HIDDEN, 3, bias=False)
        self.lattice_out = nn.Linear(HIDDEN, 9, bias=False)
        self.final_layer_norm = nn.LayerNorm(HIDDEN)
        if generates:
            self.type_out = nn.Linear(HIDDEN, 100)

    def forward(self, step, elements, frac, lattice):
        """Of one crystal: `elements` are atomic numbers, or rows of a one-hot vector."""
        half = torch.exp(-math.log(10000) * torch.arange(128) / 127) * step
        time = torch.cat([half.sin(), half.cos()])
        own = self.node_embedding(elements if elements.is_floating_point() else elements - 1)
        nodes = torch.stack([self.atom_latent_emb(torch.cat([row, time])) for row in own])

        def edge(layer, nodes, i, j):
            gram = (lattice @ lattice.T).flatten()
            return torch.cat([nodes[i], nodes[j], gram, waves((frac[j] - frac[i]) % 1)])

        for i in range(LAYERS):
            nodes = self.get_submodule(f"csp_layer_{i}")(nodes, edge, True)
        nodes = self.final_layer_norm(nodes)
        change = self.lattice_out(nodes.mean(0)).view(3, 3) @ lattice
        found = {"lattice": change.flatten(), "frac_coords": self.coord_out(nodes)}
        return found | ({"species": self.type_out(nodes)} if hasattr(self, "type_out") else {})


class FlowMM(nn.Module):
    """Of given elements, with lengths and angles."""

    def __init__(self):
        super().__init__()
        self.time_emb = nn.Linear(1, 256, bias=False)
        self.node_embedding = nn.Linear(100, HIDDEN, bias=False)
        self.atom_latent_emb = nn.Linear(HIDDEN + 256, HIDDEN, bias=False)
        for i in range(LAYERS):
            self.add_module(f"csp_layer_{i}", Layer(3 + 3 * HIDDEN + 6 + 6 * WAVES, counts=True))
        self.coord_out = nn.Linear(HIDDEN, 3, bias=False)
        self.lattice_out = nn.Linear(2 * HIDDEN, 6)
        self.type_out = nn.Linear(HIDDEN, 100)
        self.final_layer_norm = nn.LayerNorm(HIDDEN)

    def forward(self, time, numbers, frac, six, statistics):
        """Velocities to the data; `time` is 0 at the prior."""
        standard = (six - statistics["lat_x_t_mean"]) / statistics["lat_x_t_std"]
        angles = torch.deg2rad(59.9 + 60.2 * torch.sigmoid(six[3:]))
        (a, b, c), (u, v, w) = six[:3], angles.cos()
        gram = torch.stack([a * a, a * b * w, a * c * v, a * b * w, b * b, b * c * u,
                            a * c * v, b * c * u, c * c]).view(3, 3)  # fmt: skip
        count = nn.functional.one_hot(torch.tensor(len(numbers)), 100).to(frac.dtype)
        one_hot = nn.functional.one_hot(numbers - 1, 100).to(frac.dtype)
        told = self.time_emb(torch.tensor([time], dtype=frac.dtype))
        nodes = torch.stack(
            [self.atom_latent_emb(torch.cat([self.node_embedding(row), told])) for row in one_hot]
        )

        def edge(layer, nodes, i, j):
            turn = 2 * math.pi * (frac[j] - frac[i])
            near = torch.atan2(turn.sin(), turn.cos()) / (2 * math.pi)
            along = gram @ near
            parts = [along / along.norm(), nodes[i], nodes[j], standard, waves(near)]
            return torch.cat([*parts, layer.num_atom_embedding(count)])

        for i in range(LAYERS):
            nodes = self.get_submodule(f"csp_layer_{i}")(nodes, edge, False)
        nodes = self.final_layer_norm(nodes)
        lattice = self.lattice_out(torch.cat([nodes.mean(0), nodes.sum(0)]))
        lattice = lattice * statistics["lat_u_t_std"] + statistics["lat_u_t_mean"]
        coords = self.coord_out(nodes) * statistics["coord_u_t_std"]
        return {"lattice": lattice, "frac_coords": coords - coords.mean(0)}


def grown(network, generator):
    """Parameters large enough that each of them shows in the result."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return network


def noise_tables():
    """Those that a checkpoint of DiffCSP holds."""
    k = torch.arange(1001, dtype=torch.float64)
    curve = torch.cos((k / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2
    kept = 1 - (1 - curve[1:] / curve[:-1]).clamp(1e-4, 0.9999)
    sigmas = 0.005 * 100 ** (torch.arange(1000, dtype=torch.float64) / 999)
    return {
        "beta_scheduler.alphas_cumprod": torch.cat([torch.ones(1), kept.cumprod(0).float()]),
        "sigma_scheduler.sigmas": torch.cat([torch.zeros(1), sigmas.float()]),
    }


def statistics():
    """What FlowMM standardises by."""
    return {
        "lat_x_t_mean": torch.tensor([[5.0, 5.5, 7.0, -0.4, -0.6, -0.5]]),
        "lat_x_t_std": torch.tensor([[1.2, 1.5, 3.0, 2.5, 2.2, 2.8]]),
        "lat_u_t_mean": torch.tensor([[0.01, -0.02, 0.1, -0.8, -1.1, -0.9]]),
        "lat_u_t_std": torch.tensor([[1.75, 2.15, 4.69, 3.75, 3.24, 4.09]]),
        "coord_u_t_mean": torch.zeros(1, 3),
        "coord_u_t_std": torch.tensor([[0.2615, 0.2614, 0.2616]]),
    }


def prefixed(prefix, tensors):
    return OrderedDict((f"{prefix}{name}", tensor) for name, tensor in tensors.items())


OMEGA = types.ModuleType("omegaconf.dictconfig")
for _name in ("DictConfig", "ListConfig", "AnyNode"):
    setattr(OMEGA, _name, type(_name, (), {"__module__": OMEGA.__name__}))


def omega(monkeypatch, value):
    """A tree as OmegaConf would pickle it, of classes that nobody has where it is read."""
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
    monkeypatch.setitem(sys.modules, OMEGA.__name__, OMEGA)
    return wrapped(value)


def wrapped(value):
    if isinstance(value, dict):
        kind, attribute = OMEGA.DictConfig, "_content"
        content = {name: wrapped(entry) for name, entry in value.items()}
    elif isinstance(value, list):
        kind, attribute, content = OMEGA.ListConfig, "_content", [wrapped(v) for v in value]
    else:
        kind, attribute, content = OMEGA.AnyNode, "_val", value
    found = kind()
    setattr(found, attribute, content)
    return found


class Hostile:
    """Runs a function when it is unpickled by whoever runs pickles."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def is_hostile(content, witness):
    """Whether pickle itself would have made the witness."""
    pickle.loads(pickle.dumps(content))  # noqa: S301
    return witness.exists()
