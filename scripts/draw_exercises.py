"""Draws the pictures of the exercise library: calm side views, start pose faint, end pose solid, the working muscle marked.

    python scripts/draw_exercises.py            # writes sensor_gateway/web/static/exercises/ID.svg

Poses are joint angles in degrees (0 right, 90 up) from the hip; the figure faces right or, lying, up. Colours follow the
page's theme where the SVG stands inline and the system's where it is an image.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from processing.coaching import library

FOLDER = Path(__file__).parents[1] / "sensor_gateway/web/static/exercises"
FLOOR = 160.0
TORSO, THIGH, SHANK, FOOT, UPPER, FORE, HEAD = 46.0, 34.0, 34.0, 12.0, 22.0, 20.0, 9.0
STYLE = (
    "svg{color:#33424d;--accent:#12806f;--soft:#a9c3bd}"
    "@media (prefers-color-scheme:dark){svg{color:#d5dfe5;--accent:#4fc3ae;--soft:#47635d}}"
)
Point = tuple[float, float]


@dataclass(frozen=True)
class Leg:
    """Angles of thigh, shank and foot."""

    thigh: float
    shank: float
    foot: float


@dataclass(frozen=True)
class Pose:
    """A figure: its hip, the torso's angle, legs near and far, arm; ``face`` 1: front is clockwise of the torso."""

    hip: Point
    torso: float
    near: Leg
    far: Leg
    arm: tuple[float, float]
    face: int = 1
    neck: float = 0.0  # how far the head bends forward


@dataclass(frozen=True)
class Picture:
    """What is drawn: start (faint), end (solid), marked muscles, arrows, and things around."""

    text: str
    end: Pose
    start: Pose | None = None
    glute: bool = True
    hamstring: bool = False
    arrows: tuple[tuple[float, float, float, float], ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    lines: tuple[tuple[float, float, float, float], ...] = ()
    rays: tuple[Point, ...] = field(default=())


def to(p: Point, angle: float, length: float) -> Point:
    a = math.radians(angle)
    return p[0] + length * math.cos(a), p[1] - length * math.sin(a)


def path(points: list[Point], width: float, colour: str = "currentColor", extra: str = "") -> str:
    d = " ".join(f"{'M' if i == 0 else 'L'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return f'<path d="{d}" stroke="{colour}" stroke-width="{width:g}"{extra}/>'


def leg_points(hip: Point, leg: Leg) -> list[Point]:
    knee = to(hip, leg.thigh, THIGH)
    ankle = to(knee, leg.shank, SHANK)
    return [hip, knee, ankle, to(ankle, leg.foot, FOOT)]


def figure(pose: Pose) -> str:
    shoulder = to(pose.hip, pose.torso, TORSO)
    head = to(shoulder, pose.torso - pose.face * pose.neck, HEAD + 7)
    elbow = to(shoulder, pose.arm[0], UPPER)
    parts = [
        path(leg_points(pose.hip, pose.far), 7, extra=' opacity=".45"'),
        path([pose.hip, shoulder], 13),
        f'<circle cx="{head[0]:.1f}" cy="{head[1]:.1f}" r="{HEAD:g}" fill="currentColor" stroke="none"/>',
        path(leg_points(pose.hip, pose.near), 8),
        path([shoulder, elbow, to(elbow, pose.arm[1], FORE)], 5.5, extra=' opacity=".8"'),
    ]
    return "".join(parts)


def muscles(picture: Picture) -> str:
    pose, found = picture.end, ""
    if picture.glute:
        x, y = to(to(pose.hip, pose.torso, 3), pose.torso + 90 * pose.face, 5)
        found += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7.5" fill="var(--accent,#12806f)" stroke="none"/>'
    if picture.hamstring:
        side = pose.near.thigh - 90 * pose.face
        ends = [to(to(pose.hip, pose.near.thigh, THIGH * share), side, 4.5) for share in (0.22, 0.85)]
        found += path(ends, 5.5, "var(--accent,#12806f)")
    return found


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    a = math.degrees(math.atan2(y1 - y2, x2 - x1))
    tips = [to((x2, y2), a + 180 + turn, 7) for turn in (-32, 32)]
    return path([(x1, y1), (x2, y2)], 2.6, "var(--accent,#12806f)") + path(
        [tips[0], (x2, y2), tips[1]], 2.6, "var(--accent,#12806f)"
    )


def draw(picture: Picture, name: str) -> str:
    soft = "var(--soft,#a9c3bd)"
    body = path([(14, FLOOR + 5), (246, FLOOR + 5)], 2.5, soft)
    body += "".join(
        f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="4" fill="{soft}" stroke="none"/>'
        for x, y, w, h in picture.boxes
    )
    body += "".join(path([(a, b), (c, d)], 4, soft) for a, b, c, d in picture.lines)
    if picture.start is not None:
        body += f'<g opacity=".22">{figure(picture.start)}</g>'
    body += figure(picture.end) + muscles(picture) + "".join(arrow(*a) for a in picture.arrows)
    for x, y in picture.rays:
        body += "".join(
            path([to((x, y), a, 13), to((x, y), a, 19)], 2.4, "var(--accent,#12806f)") for a in (130, 165, 200, 235)
        )
    top = top_of(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {top} 260 {176 - top}" role="img" color="#5f7482" fill="none" '
        'stroke-linecap="round" stroke-linejoin="round">'
        f"<title>{escape(name)}</title><desc>{escape(picture.text)}</desc><style>{STYLE}</style>{body}</svg>\n"
    )


def top_of(body: str) -> int:
    """Where the picture begins: somebody who lies needs no empty sky."""
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", body)]
    heights += [float(y) - float(r) for y, r in re.findall(r'cy="([\d.]+)" r="([\d.]+)"', body)]
    heights += [float(y) for y in re.findall(r'<rect x="[\d.]+" y="([\d.]+)"', body)]
    return max(0, math.floor(min(heights)) - 12)


STAND = Leg(270, 270, 0)
HIP = FLOOR - THIGH - SHANK - 1
DOWN = (292.0, 278.0)


def standing(x: float, **more: Any) -> Pose:
    values: dict[str, Any] = {"hip": (x, HIP), "torso": 90.0, "near": STAND, "far": STAND, "arm": DOWN} | more
    return Pose(**values)


LAY = FLOOR - 5  # hip of somebody who lies
BENT = Leg(52, 296, 0)  # on the back, knee up, foot flat
FLAT_ARM = (352.0, 0.0)


def lying(x: float = 112, y: float = LAY, torso: float = 180.0, **more: Any) -> Pose:
    values: dict[str, Any] = {"hip": (x, y), "torso": torso, "near": BENT, "far": BENT, "arm": FLAT_ARM} | more
    return Pose(**values)


LEVEL = Leg(25, 270, 0)  # thigh in line with the trunk, foot flat


def bridge(near: Leg = LEVEL, far: Leg = LEVEL) -> Pose:
    return lying(113, LAY - 19.5, 205, near=near, far=far, arm=(0.0, 0.0), neck=25.0)


def prone(near: Leg) -> Pose:
    return Pose((128, LAY - 3), 180, near, Leg(0, 0, 350), (200.0, 350.0), face=-1, neck=0)


PICTURES: dict[str, Picture] = {
    "isometric_glute_set": Picture(
        "A person stands upright; the buttock is marked as working.", standing(130), rays=((126, HIP - 2),)
    ),
    "two_leg_bridge_abducted": Picture(
        "A person on the back lifts the hips until trunk and thighs are in line; both feet stay on the floor.",
        bridge(far=Leg(19, 266, 0)),
        lying(),
        arrows=((113, 114, 113, 96),),
    ),
    "single_leg_bridge": Picture(
        "A person on the back lifts the hips with one foot on the floor, the other leg held straight.",
        bridge(far=Leg(27, 25, 90)),
        lying(),
        hamstring=True,
        arrows=((113, 114, 113, 96),),
    ),
    "hamstring_walk_out": Picture(
        "A person holds the hips up on the heels while the feet walk away in small steps.",
        lying(113, LAY - 17, 202, near=Leg(356, 332, 66), far=Leg(8, 312, 60), arm=(0.0, 0.0), neck=22.0),
        bridge(),
        glute=False,
        hamstring=True,
        arrows=((184, 138, 208, 138),),
    ),
    "hip_hinge": Picture(
        "A person pushes the hips back and lets the trunk come forward in one piece, knees soft.",
        standing(112, hip=(112, HIP + 5), torso=36, near=Leg(292, 256, 0), far=Leg(292, 256, 0), arm=(250.0, 280.0)),
        standing(126),
        hamstring=True,
        arrows=((98, HIP + 4, 76, HIP + 4),),
    ),
    "standing_posterior_tilt": Picture(
        "A person stands with soft knees and tucks the tailbone under.",
        standing(130, hip=(133, HIP + 3), torso=94, near=Leg(280, 260, 0), far=Leg(280, 260, 0), arm=(245.0, 20.0)),
        standing(126, hip=(126, HIP), torso=84),
        arrows=((104, HIP - 8, 112, HIP + 16), (152, HIP + 14, 152, HIP - 8)),
    ),
    "ninety_ninety_hip_lift": Picture(
        "A person on the back with the feet on a wall, hips and knees bent, lifts the tailbone a little.",
        lying(112, LAY - 8, 190, near=Leg(86, 2, 90), far=Leg(92, 2, 90), arm=(355.0, 0.0), neck=10.0),
        lying(112, near=Leg(90, 0, 90), far=Leg(90, 0, 90)),
        glute=False,
        hamstring=True,
        boxes=((155, 74, 8, 91),),
        arrows=((174, 104, 174, 128),),
    ),
    "heel_dig": Picture(
        "A person on the back with bent knees presses the heels into the floor; nothing moves.",
        lying(near=Leg(52, 296, 40), far=Leg(56, 300, 40)),
        glute=False,
        hamstring=True,
        arrows=((160, 118, 160, 140),),
    ),
    "prone_hip_extension": Picture(
        "A person lies on the front, a flat pillow under the belly, and lifts one straight leg a little.",
        prone(Leg(17, 17, 8)),
        prone(Leg(0, 0, 350)),
        boxes=((96, 157, 34, 8),),
        arrows=((212, 150, 212, 126),),
    ),
    "standing_hip_extension": Picture(
        "A person holds on to a chair and moves one straight leg back.",
        standing(122, near=Leg(247, 247, 335), arm=(320.0, 5.0)),
        standing(122, arm=(320.0, 5.0)),
        lines=((168, HIP - 22, 168, FLOOR + 4), (168, HIP + 22, 204, HIP + 22), (204, HIP + 22, 204, FLOOR + 4)),
        arrows=((104, 134, 82, 128),),
    ),
    "clamshell": Picture(
        "A person on the side, knees bent and feet together, lifts the top knee. Seen from the front.",
        lying(112, LAY - 4, 180, near=Leg(30, 332, 0), far=Leg(350, 5, 0), arm=(205.0, 175.0)),
        lying(112, LAY - 4, 180, near=Leg(350, 5, 0), far=Leg(350, 5, 0), arm=(205.0, 175.0)),
        arrows=((146, 126, 142, 106),),
    ),
    "side_leg_lift": Picture(
        "A person on the side with the lower knee bent lifts the straight top leg. Seen from the front.",
        lying(112, LAY - 4, 180, near=Leg(24, 24, 10), far=Leg(352, 5, 0), arm=(205.0, 175.0)),
        lying(112, LAY - 4, 180, near=Leg(0, 0, 350), far=Leg(352, 5, 0), arm=(205.0, 175.0)),
        arrows=((190, 142, 186, 114),),
    ),
    "step_up": Picture(
        "A person with one foot on a low step presses up through the heel.",
        standing(120, hip=(124, HIP - 6), torso=74, near=Leg(322, 263, 0), far=Leg(258, 250, 340), arm=(240.0, 300.0)),
        hamstring=True,
        boxes=((132, 137, 58, 28),),
        arrows=((98, 108, 98, 80),),
    ),
    "supported_split_squat": Picture(
        "A person in a long step holds the back of a chair and sinks straight down.",
        standing(120, hip=(120, HIP + 17), torso=88, near=Leg(330, 266, 0), far=Leg(245, 202, 290), arm=(318.0, 8.0)),
        standing(120, hip=(120, HIP + 4), torso=90, near=Leg(300, 276, 0), far=Leg(252, 232, 300), arm=(318.0, 8.0)),
        hamstring=True,
        lines=((176, HIP - 8, 176, FLOOR + 4), (176, HIP + 26, 208, HIP + 26), (208, HIP + 26, 208, FLOOR + 4)),
        arrows=((88, 74, 88, 100),),
    ),
}


def drawn() -> dict[str, str]:
    """File name to SVG text, for every exercise of the library."""
    return {f"{e.id}.svg": draw(PICTURES[e.id], e.name) for e in library().values()}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in drawn().items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
