"""Four specimens as clouds of fluorophores in continuous coordinates (nanometres).

Every world is a function ``(rng, extent_nm, ...) -> Emitters``. It fills a square field of view of side
``extent_nm`` and a margin around it, so that structures run on beyond the image's edge as they do in a cell.
The shapes are stylised and the numbers are of the order a microscopist expects, not fitted to any data set.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import Voronoi

from ddpm_micro.simulate.emitters import MARGIN, Emitters, anywhere, area_um2, centred, dust, join, worm_like_headings


def microtubules(
    rng: np.random.Generator,
    extent_nm: float,
    *,
    filaments_per_um2: float = 1.1,
    persistence_nm: float = 20_000.0,
    alignment: float = 0.5,
) -> Emitters:
    """Worm-like filaments, antibody-labelled every few nanometres, some of them out of focus.

    The heading of a planar worm-like chain does a random walk of variance ``step / persistence_nm`` per step.
    ``alignment`` in [0, 1] draws the filaments towards one common direction.
    """
    step = 10.0
    # Filaments are about as long as the field is wide: their number grows with its side, not with its area.
    count = 2 + rng.poisson(filaments_per_um2 * (extent_nm / 1000) ** 2 * min(1.0, 3200 / extent_nm))
    arc = np.arange(-0.9 * extent_nm, 0.9 * extent_nm, step)
    start = anywhere(rng, extent_nm, (2, count, 1))
    direction = rng.uniform(0, np.pi) + (1 - alignment) * rng.uniform(-np.pi / 2, np.pi / 2, (count, 1))
    heading = direction + worm_like_headings(rng, (count, arc.size), step, persistence_nm)
    x = centred(np.cumsum(np.cos(heading), axis=1)) * step + start[0]
    y = centred(np.cumsum(np.sin(heading), axis=1)) * step + start[1]
    z = np.broadcast_to(rng.normal(0, 250, (count, 1)), x.shape)
    ends = rng.uniform(0.2, 1.3, (2, count, 1)) * extent_nm  # a few filaments end inside the image
    inside = (arc > -ends[0]) & (arc < ends[1])
    # Label is uneven: some sites stay empty and some carry several dyes.
    brightness = rng.gamma(0.7, 1.0, x.shape) * rng.uniform(0.6, 1.2, (count, 1))
    wide = 14.0  # nm: primary and secondary antibody stand off the 25 nm wall
    jitter = rng.normal(0, wide, (2, *x.shape))
    speckle = dust(rng, extent_nm, per_um2=6.0, brightness=4.0)
    return join(Emitters(*(a[inside] for a in (x + jitter[0], y + jitter[1], z, brightness))), speckle)


def mitochondria(
    rng: np.random.Generator,
    extent_nm: float,
    *,
    tubes_per_um2: float = 0.7,
    radius_nm: float = 150.0,
    persistence_nm: float = 900.0,
    cristae: float = 0.15,
) -> Emitters:
    """Hollow, branching tubes: dye in the outer wall and, a share of ``cristae``, in plates that cross the inside.

    A point on a tube of radius R at angle phi lies R cos(phi) beside the centre line in projection and
    R sin(phi) above or below the focal plane, which is why the rims look bright.
    """
    count = 2 + rng.poisson(tubes_per_um2 * area_um2(extent_nm))
    parts = []
    for line_x, line_y, heading in branching_lines(rng, extent_nm, count, persistence_nm=persistence_nm):
        radius = radius_nm * rng.uniform(0.7, 1.3) * (1 + 0.12 * np.sin(np.cumsum(rng.normal(0, 0.25, line_x.size))))
        dyes = 40 * line_x.size
        along = rng.integers(line_x.size, size=dyes)
        angle = rng.uniform(0, 2 * np.pi, dyes)
        across = radius[along] * np.cos(angle)
        z = radius[along] * np.sin(angle)
        in_plate = rng.random(dyes) < cristae  # about every 100 nm, filled instead of hollow
        along = np.where(in_plate, np.minimum((along // 4) * 4, line_x.size - 1), along)
        across = np.where(in_plate, across * rng.random(dyes), across)
        x = line_x[along] - across * np.sin(heading)[along] + rng.normal(0, 10, dyes)
        y = line_y[along] + across * np.cos(heading)[along] + rng.normal(0, 10, dyes)
        parts.append(Emitters(x, y, z + rng.normal(0, 150), rng.exponential(rng.uniform(0.15, 0.33), dyes)))
    return join(*parts, dust(rng, extent_nm, per_um2=12.0, brightness=1.0))


def branching_lines(
    rng: np.random.Generator, extent_nm: float, count: int, *, persistence_nm: float, step_nm: float = 25.0
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Centre lines ``(x, y, heading)`` in nm and radians; four in ten leave an earlier line at a steep angle."""
    lines: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for _ in range(count):
        steps = int(rng.uniform(1200, 4200) / step_nm)
        if lines and rng.random() < 0.4:
            parent_x, parent_y, parent_heading = lines[rng.integers(len(lines))]
            at = rng.integers(parent_x.size)
            origin = parent_x[at], parent_y[at]
            direction = parent_heading[at] + rng.choice([-1, 1]) * rng.uniform(0.6, 1.4)
        else:
            origin = anywhere(rng, extent_nm, (2,))
            direction = rng.uniform(0, 2 * np.pi)
        heading = direction + worm_like_headings(rng, (steps,), step_nm, persistence_nm)
        x, y = origin[0] + step_nm * np.cumsum(np.cos(heading)), origin[1] + step_nm * np.cumsum(np.sin(heading))
        lines.append((x, y, heading))
    return lines


def synapses(
    rng: np.random.Generator,
    extent_nm: float,
    *,
    puncta_per_um2: float = 0.9,
    cluster_nm: float = 110.0,
    depth_nm: float = 350.0,
    neuropil: float = 0.35,
) -> Emitters:
    """Sparse puncta of varied size and brightness on dim, uneven neuropil.

    ``cluster_nm`` is the median standard deviation of a punctum, ``depth_nm`` that of its distance from focus;
    ``neuropil`` is the light of the background tissue as a fraction of the puncta's.
    """
    area = area_um2(extent_nm)
    count = 3 + rng.poisson(puncta_per_um2 * area)
    centre = anywhere(rng, extent_nm, (2, count))
    radius = np.clip(rng.lognormal(np.log(cluster_nm), 0.5, count), 30, 500)  # nm, standard deviation of a cluster
    light = rng.lognormal(0, 0.6, count) * (radius / cluster_nm) ** 1.5
    dyes = 150
    stretch, turn = rng.uniform(1, 1.8, (count, 1)), rng.uniform(0, np.pi, (count, 1))
    u, v, w = rng.normal(0, 1, (3, count, dyes)) * radius[:, None]
    u = u * stretch
    x = centre[0][:, None] + u * np.cos(turn) - v * np.sin(turn)
    y = centre[1][:, None] + u * np.sin(turn) + v * np.cos(turn)
    z = w + rng.normal(0, depth_nm, (count, 1))
    puncta = Emitters(x.ravel(), y.ravel(), z.ravel(), np.repeat(light / dyes, dyes))

    n = int(140 * area)
    position = anywhere(rng, extent_nm, (2, n))
    texture = gaussian_filter(rng.normal(0, 1, (24, 24)), 1.2, mode="wrap")
    local = map_coordinates(texture, 23 * (position / extent_nm + MARGIN) / (1 + 2 * MARGIN), order=1, mode="nearest")
    shade = np.exp(1.2 * local / texture.std())  # cell bodies and fibres leave dark holes in the tissue
    tissue = Emitters(*position, rng.normal(0, 500, n), neuropil * light.sum() * shade / shade.sum())
    return join(puncta, tissue)


def zebrafish(
    rng: np.random.Generator, extent_nm: float, *, cell_nm: float = 6_500.0, haze: float = 0.5, nuclei: float = 0.0
) -> Emitters:
    """A mosaic of cell membranes with out-of-focus layers above and below.

    ``haze`` is the light of each out-of-focus layer as a fraction of the focal plane's; ``nuclei`` that of
    filled nuclei inside the cells (0 for a membrane marker).
    """
    layers = [_mosaic(rng, extent_nm, cell_nm, 0.0, nuclei, dyes_per_cell=150)]
    for z in (3_000.0, -5_000.0):
        # Blur hides single dyes, so a few bright ones do.
        layer = _mosaic(rng, extent_nm, cell_nm, z, nuclei, dyes_per_cell=30)
        layers.append(Emitters(layer.x, layer.y, layer.z, 5 * haze * layer.brightness))
    return join(*layers)


def _mosaic(
    rng: np.random.Generator, extent: float, cell: float, z: float, nuclei: float, *, dyes_per_cell: int
) -> Emitters:
    """One layer of cells: Voronoi walls bent by a smooth displacement, each wall with its own brightness."""
    side = extent * (1 + 2 * MARGIN) + 2 * cell
    grid = int(np.ceil(side / cell))
    lattice = np.stack(np.meshgrid(np.arange(grid), np.arange(grid)), -1).reshape(-1, 2)
    sites = (lattice + rng.uniform(0, 1, (grid**2, 2)) * 0.9) * cell - MARGIN * extent - cell
    mosaic = Voronoi(sites)
    labelled = rng.random(len(sites)) < rng.uniform(0.55, 1.0)  # in a mosaic line not every cell carries the label
    pairs = np.array(mosaic.ridge_points)
    ends = np.array([ridge if -1 not in ridge else (0, 0) for ridge in mosaic.ridge_vertices])
    light = labelled[pairs].sum(1) * rng.gamma(6, 1 / 6, len(pairs))
    a, b = mosaic.vertices.T[:, ends[:, 0]], mosaic.vertices.T[:, ends[:, 1]]
    length = np.linalg.norm(b - a, axis=0)
    keep = (light > 0) & (length > 0) & (length < 3 * cell)
    a, b, light, length = a[:, keep], b[:, keep], light[keep], length[keep]
    dyes = np.maximum((length / cell * dyes_per_cell).astype(int), 1)
    wall = np.repeat(np.arange(len(dyes)), dyes)
    fraction = rng.random(wall.size)
    points = a.take(wall, axis=1) * (1 - fraction) + b.take(wall, axis=1) * fraction
    brightness = light[wall] * rng.gamma(2, 0.5, wall.size)
    if nuclei > 0:
        filling, glow = _nuclei(rng, sites, cell, 2 * dyes_per_cell)
        points = np.concatenate([points, filling], axis=1)
        brightness = np.concatenate([brightness, 2 * nuclei * np.repeat(labelled, 2 * dyes_per_cell) * glow])
    bend = gaussian_filter(rng.normal(0, 1, (2, 32, 32)), (0, 2, 2), mode="wrap")
    at = 31 * ((points + MARGIN * extent + cell) / side)
    bend = np.stack([map_coordinates(part, at, order=1, mode="nearest") for part in bend]) * cell * 0.9
    x, y = points + bend
    blur = rng.normal(0, cell / 250, points.shape)  # a membrane is not a mathematical line
    return Emitters(x + blur[0], y + blur[1], z + rng.normal(0, 400, x.size), brightness)


def _nuclei(rng: np.random.Generator, sites: np.ndarray, cell: float, dyes: int) -> tuple[np.ndarray, np.ndarray]:
    """Elliptic discs of patchy chromatin, one a site: positions, shape (2, n), and light, shape (n,)."""
    which = np.repeat(np.arange(len(sites)), dyes)
    angle, reach = rng.uniform(0, 2 * np.pi, which.size), np.sqrt(rng.random(which.size))
    shape = rng.uniform(0.22, 0.34, (len(sites), 2)) * cell
    filling = sites[which].T + np.stack([np.cos(angle), np.sin(angle)]) * reach * shape[which].T
    patchy = gaussian_filter(rng.normal(0, 1, (64, 64)), 1.0, mode="wrap")
    grain = np.exp(patchy[tuple((filling // (cell / 12)).astype(int) % 64)] * 2.0)
    return filling, rng.gamma(3, 1 / 3, len(sites))[which] * grain
