"""Line charts as SVG: a logarithmic x axis with a tick at each value, a y axis from 0. The same numbers give the same file."""
from math import log

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 80, 150, 40, 50
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#7b4fa3")


def text(x, y, words, size=12, anchor="middle", more=""):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{more}>{words}</text>'


def line(x1, y1, x2, y2, colour, more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


def round_up(value):
    """The next of 1, 2, 2.5, 5, 10, ... of that size."""
    ten = 1
    while ten * 10 <= value:
        ten *= 10
    return next(ten * n for n in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if ten * n >= value)


def number(value):
    for least, unit, letter in ((1000000, 1000000, " M"), (10000, 1000, " k")):
        if value >= least:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def chart(title, x_title, y_title, series, limit=None):
    """series: {name: {x: y}}; limit: (name, y) of a dashed line."""
    xs = sorted({x for values in series.values() for x in values})
    top = round_up(max([y for values in series.values() for y in values.values()] + ([limit[1]] if limit else [])) * 1.05)
    span = log(xs[-1] / xs[0]) or 1

    def at(x, y):
        return LEFT + (WIDTH - LEFT - RIGHT) * log(x / xs[0]) / span, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / top

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', text((LEFT + WIDTH - RIGHT) / 2, 22, title, 15)]
    for i in range(6):
        y = at(xs[0], top * i / 5)[1]
        out += [line(LEFT, y, WIDTH - RIGHT, y, "#dddddd"), text(LEFT - 8, y + 4, number(top * i / 5), anchor="end")]
    last = None
    for x in xs:
        where = at(x, 0)[0]
        if last is None or where - last > 30:
            out.append(text(where, HEIGHT - BOTTOM + 18, str(x)))
            last = where
        out.append(line(where, HEIGHT - BOTTOM, where, HEIGHT - BOTTOM + 4, "#888888"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out += [text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_title),
            text(18, middle, y_title, more=f' transform="rotate(-90 18 {middle:.1f})"')]
    if limit:
        y = at(xs[0], limit[1])[1]
        out += [line(LEFT, y, WIDTH - RIGHT, y, "#888888", ' stroke-dasharray="6 4"'),
                text(WIDTH - RIGHT + 8, y + 4, limit[0], anchor="start")]
    for i, (name, values) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        points = [at(x, y) for x, y in sorted(values.items())]
        out.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        out.append(text(WIDTH - RIGHT + 8, TOP + 14 + 18 * i, name, anchor="start", more=f' fill="{colour}"'))
    return "\n".join(out + ["</svg>"]) + "\n"
