"""Plots as SVG, written by hand: no library is needed to look at them or to make them."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 360, 70, 70, 40, 50
BLUE, RED, GREY = "#1f6fb2", "#c0392b", "#8a8a8a"


def nice(value):
    """The next number above `value` that reads well."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if value <= factor * step:
                return factor * step
        step *= 10


class Plot:
    """One frame, x to the right, one axis left and maybe one right."""

    def __init__(self, title, x_title, x_limit):
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
                      f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
                      f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-size="14">{title}</text>',
                      f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">{x_title}</text>',
                      f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}" fill="none" stroke="{GREY}"/>']
        self.x_limit = x_limit

    def x(self, value):
        return LEFT + (WIDTH - LEFT - RIGHT) * value / self.x_limit

    @staticmethod
    def y(value, limit):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, limit) / limit

    def ticks_x(self, values):
        for value in values:
            self.parts.append(f'<text x="{self.x(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:g}</text>')

    def axis(self, title, limit, colour, right=False):
        place, anchor = (WIDTH - RIGHT + 6, "start") if right else (LEFT - 6, "end")
        for part in range(5):
            value = limit * part / 4
            self.parts.append(f'<text x="{place}" y="{self.y(value, limit) + 4:.1f}" text-anchor="{anchor}" fill="{colour}">{value:g}</text>')
        self.parts.append(f'<text x="{WIDTH - RIGHT if right else LEFT}" y="{TOP - 6}" text-anchor="{"end" if right else "start"}" '
                          f'fill="{colour}">{title}</text>')

    def line(self, points, limit, colour, dashed=False, marks=True):
        path = " ".join(f"{self.x(x):.1f},{self.y(y, limit):.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"'
                          + (' stroke-dasharray="5 4"' if dashed else "") + "/>")
        for x, y in points if marks else []:
            self.parts.append(f'<circle cx="{self.x(x):.1f}" cy="{self.y(y, limit):.1f}" r="3" fill="{colour}"/>')

    def write(self, path):
        with open(path, "w") as file:
            file.write("\n".join(self.parts + ["</svg>"]) + "\n")


def overload(path, capacity, points):
    """Offered load against goodput and p99: `points` are (share of capacity, goodput, its p99 in ms, refused, their p99 in ms)."""
    plot = Plot("Durable PUT over HTTP: offered load against goodput and p99", f"offered, × {capacity:.0f}/s", max(p[0] for p in points))
    plot.ticks_x([p[0] for p in points])
    rates, waits = nice(1.05 * max(p[1] for p in points)), nice(1.05 * max(max(p[2], p[4]) for p in points))
    plot.axis("goodput/s (dashed: refused/s)", rates, BLUE)
    plot.axis("p99, ms (dashed: of refusals)", waits, RED, right=True)
    peak = max(p[1] for p in points)
    plot.line([(0, 0.8 * peak), (max(p[0] for p in points), 0.8 * peak)], rates, GREY, dashed=True, marks=False)
    plot.line([(p[0], p[1]) for p in points], rates, BLUE)
    plot.line([(p[0], p[2]) for p in points], waits, RED)
    plot.line([(p[0], p[3]) for p in points], rates, BLUE, dashed=True)
    plot.line([(p[0], p[4]) for p in points], waits, RED, dashed=True)
    plot.write(path)


def soak(path, title, minutes, series):
    """Resident memory over time: `series` maps a process to its (minutes, MiB)."""
    plot = Plot(title, "minutes", minutes)
    plot.ticks_x([round(minutes * part / 6, 1) for part in range(7)])
    limit = nice(1.05 * max(value for points in series.values() for _, value in points))
    plot.axis("RSS, MiB", limit, BLUE)
    for number, (name, points) in enumerate(series.items()):
        colour = ["#1f6fb2", "#c0392b", "#27ae60", "#8e44ad", "#d68910"][number % 5]
        plot.line(points, limit, colour, marks=False)
        plot.parts.append(f'<text x="{LEFT + 10 + 150 * number}" y="{TOP + 16}" fill="{colour}">{name}</text>')
    plot.write(path)
