import Glibc
import ThemisBase

/// A part of the earth that a query asks for. Any thread.
enum GeoRegion: Sendable, Hashable {
    /// Everything within so many metres of a point.
    case circle(center: GeoPosition, radiusMeters: Double)
    /// Everything between two parallels and two meridians, borders and all; a west that is greater than the east goes over 180°.
    case box(GeoBox)

    func contains(_ position: GeoPosition) -> Bool {
        switch self {
        case .box(let box): return box.contains(position)
        case .circle(let center, let radius):
            // The sphere decides what is not near the border: it is cheap, and how wrong it may be is known.
            let sphere = Geodesic.sphereMeters(center, position)
            if sphere * Geodesic.scale.upperBound * (1 + Self.slack) <= radius { return true }
            if sphere * Geodesic.scale.lowerBound * (1 - Self.slack) > radius { return false }
            return Geodesic.meters(center, position) <= radius
        }
    }

    /// Rounding of the distance on a sphere, which is greatest for opposite points.
    private static let slack = 1e-7

    /// Boxes that hold all of the region, and some more.
    var boxes: [GeoBox] {
        switch self {
        case .box(let box): return [box]
        case .circle(let center, let radius):
            // The circle on the sphere that surely holds the one on the ellipsoid, as an angle.
            let angle = radius / (Geodesic.scale.lowerBound * Geodesic.sphereRadiusMeters) * (1 + Self.slack) + 1e-9
            let latitude = Geodesic.radians(center.latitude)
            let south = latitude - angle
            let north = latitude + angle
            guard north < .pi / 2, south > -.pi / 2 else {
                // A pole lies in it, and with it every meridian.
                return [GeoBox(south: max(-90, degrees(south)), west: -180, north: min(90, degrees(north)), east: 180)]
            }
            let width = degrees(asin(min(1, sin(angle) / cos(latitude)))) + 1e-7
            guard width < 180 else { return [GeoBox(south: degrees(south), west: -180, north: degrees(north), east: 180)] }
            var (west, east) = (center.longitude - width, center.longitude + width)
            if west < -180 { west += 360 }
            if east > 180 { east -= 360 }
            return [GeoBox(south: degrees(south), west: west, north: degrees(north), east: east)]
        }
    }

    private func degrees(_ radians: Double) -> Double { radians * 180 / .pi }
}

/// Between two parallels and two meridians, in degrees.
struct GeoBox: Sendable, Hashable {
    let south: Double
    let west: Double
    let north: Double
    /// Less than `west` when the box goes over 180°.
    let east: Double

    func contains(_ position: GeoPosition) -> Bool {
        guard (south...north).contains(position.latitude) else { return false }
        // Every meridian ends in the poles.
        if position.latitude.magnitude == 90 { return true }
        let longitude = position.longitude
        if west > east { return longitude >= west || longitude <= east }
        return (longitude >= west && longitude <= east) || (longitude == -180 && east == 180)
    }
}
