import Glibc

/// Distances on the ellipsoid of WGS 84, in metres. Any thread.
///
/// Vincenty's inverse formula (T. Vincenty, "Direct and Inverse Solutions of Geodesics on the Ellipsoid", 1975), which is within a
/// millimetre of the truth. It does not converge for some points that lie almost opposite each other; there the way is put together
/// from two halves, which it can measure.
enum Geodesic {
    /// The equatorial radius.
    private static let a = 6_378_137.0
    /// The flattening.
    private static let f = 1 / 298.257_223_563
    private static let b = a * (1 - f)
    /// The radius of the sphere that bounds are computed on.
    static let sphereRadiusMeters = 6_371_008.8

    /// No way on the ellipsoid is shorter or longer than so many times the way between the same degrees on the sphere: the radii of
    /// curvature lie between that of the meridian at the equator, b²/a, and that at the poles, a²/b, in every direction.
    static let scale = (b * b / a / sphereRadiusMeters)...(a * a / b / sphereRadiusMeters)

    /// The length of the shortest way.
    static func meters(_ from: GeoPosition, _ to: GeoPosition) -> Double {
        guard from != to else { return 0 }
        let (p, q) = (radians(from), radians(to))
        return vincenty(p, q) ?? byHalves(p, q)
    }

    /// The way on the sphere, by haversines.
    static func sphereMeters(_ from: GeoPosition, _ to: GeoPosition) -> Double {
        let (p, q) = (radians(from), radians(to))
        let north = sin((q.latitude - p.latitude) / 2)
        let east = sin((q.longitude - p.longitude) / 2)
        let h = north * north + cos(p.latitude) * cos(q.latitude) * east * east
        return 2 * sphereRadiusMeters * asin(min(1, h.squareRoot()))
    }

    static func radians(_ degrees: Double) -> Double { degrees * .pi / 180 }

    private typealias Point = (latitude: Double, longitude: Double)

    private static func radians(_ position: GeoPosition) -> Point { (radians(position.latitude), radians(position.longitude)) }

    /// Nil when it does not converge.
    private static func vincenty(_ p: Point, _ q: Point) -> Double? {
        let u1 = atan((1 - f) * tan(p.latitude))
        let u2 = atan((1 - f) * tan(q.latitude))
        let (sinU1, cosU1, sinU2, cosU2) = (sin(u1), cos(u1), sin(u2), cos(u2))
        let l = remainder(q.longitude - p.longitude, 2 * .pi)
        var lambda = l
        for _ in 0..<60 {
            let (sinLambda, cosLambda) = (sin(lambda), cos(lambda))
            let x = cosU2 * sinLambda
            let y = cosU1 * sinU2 - sinU1 * cosU2 * cosLambda
            let sinSigma = (x * x + y * y).squareRoot()
            if sinSigma == 0 { return cosLambda > 0 ? 0 : nil }
            let cosSigma = sinU1 * sinU2 + cosU1 * cosU2 * cosLambda
            let sigma = atan2(sinSigma, cosSigma)
            let sinAlpha = cosU1 * cosU2 * sinLambda / sinSigma
            let cosSquaredAlpha = 1 - sinAlpha * sinAlpha
            // On the equator the term below has no meaning, and no weight.
            let cosTwiceMiddle = cosSquaredAlpha > 1e-15 ? cosSigma - 2 * sinU1 * sinU2 / cosSquaredAlpha : 0
            let c = f / 16 * cosSquaredAlpha * (4 + f * (4 - 3 * cosSquaredAlpha))
            let square = 2 * cosTwiceMiddle * cosTwiceMiddle - 1
            let next = l + (1 - c) * f * sinAlpha * (sigma + c * sinSigma * (cosTwiceMiddle + c * cosSigma * square))
            if next.magnitude > .pi { return nil }
            if (next - lambda).magnitude < 1e-12 {
                return length(sigma, sinSigma, cosSigma, cosTwiceMiddle, cosSquaredAlpha)
            }
            lambda = next
        }
        return nil
    }

    private static func length(
        _ sigma: Double, _ sinSigma: Double, _ cosSigma: Double, _ cosTwiceMiddle: Double, _ cosSquaredAlpha: Double
    ) -> Double {
        let uSquared = cosSquaredAlpha * (a * a - b * b) / (b * b)
        let large = 1 + uSquared / 16_384 * (4_096 + uSquared * (-768 + uSquared * (320 - 175 * uSquared)))
        let small = uSquared / 1_024 * (256 + uSquared * (-128 + uSquared * (74 - 47 * uSquared)))
        let square = cosTwiceMiddle * cosTwiceMiddle
        let last = small / 6 * cosTwiceMiddle * (4 * sinSigma * sinSigma - 3) * (4 * square - 3)
        let delta = small * sinSigma * (cosTwiceMiddle + small / 4 * (cosSigma * (2 * square - 1) - last))
        return b * large * (sigma - delta)
    }

    /// The shortest way crosses the circle a quarter around the earth from its beginning: the place where both parts together are least
    /// is the one, and each part is a quarter around the earth, which the formula can measure.
    private static func byHalves(_ p: Point, _ q: Point) -> Double {
        func length(_ azimuth: Double) -> Double {
            let middle = quarter(p, azimuth)
            return (vincenty(p, middle) ?? .infinity) + (vincenty(middle, q) ?? .infinity)
        }
        let steps = 72
        let step = 2 * Double.pi / Double(steps)
        let lengths = (0..<steps).map { length(Double($0) * step) }
        var least = Double.infinity
        // Points almost opposite have up to two ways that are short among their neighbours: each is followed.
        for place in 0..<steps
        where lengths[place] <= lengths[(place + 1) % steps] && lengths[place] <= lengths[(place + steps - 1) % steps] {
            least = min(least, self.least(around: Double(place) * step, step, length))
        }
        return least
    }

    /// The least value near `middle`, by golden section.
    private static func least(around middle: Double, _ width: Double, _ value: (Double) -> Double) -> Double {
        let ratio = (5.0.squareRoot() - 1) / 2
        var (low, high) = (middle - width, middle + width)
        var (left, right) = (high - ratio * (high - low), low + ratio * (high - low))
        var (atLeft, atRight) = (value(left), value(right))
        for _ in 0..<48 {
            if atLeft < atRight {
                (high, right, atRight) = (right, left, atLeft)
                left = high - ratio * (high - low)
                atLeft = value(left)
            } else {
                (low, left, atLeft) = (left, right, atRight)
                right = low + ratio * (high - low)
                atRight = value(right)
            }
        }
        return min(atLeft, atRight)
    }

    /// The point a quarter around the sphere from `p` in a direction.
    private static func quarter(_ p: Point, _ azimuth: Double) -> Point {
        let latitude = asin(max(-1, min(1, cos(p.latitude) * cos(azimuth))))
        let longitude = p.longitude + atan2(sin(azimuth) * cos(p.latitude), -sin(p.latitude) * sin(latitude))
        return (latitude, longitude)
    }
}
