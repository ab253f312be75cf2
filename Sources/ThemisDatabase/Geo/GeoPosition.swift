import ThemisBase

/// A point on the earth, in degrees of WGS 84. Any thread.
///
/// One point has one form: the meridian of 180° is that of -180°, and a pole has no longitude of its own (-180° stands there).
struct GeoPosition: Sendable, Hashable {
    /// -90…90.
    let latitude: Double
    /// -180 ≤ longitude < 180.
    let longitude: Double

    /// Nil when the degrees are none of a point.
    init?(latitude: Double, longitude: Double) {
        guard (-90...90).contains(latitude), (-180...180).contains(longitude) else { return nil }
        self.latitude = latitude
        self.longitude = longitude == 180 || latitude.magnitude == 90 ? -180 : longitude
    }

    /// The point in one of the forms that documents may have: `[lon, lat]`, `{"lat":…,"lon":…}`, a GeoJSON Point. Nil for anything else.
    ///
    /// A third number, the height, does not matter, nor do other members of an object.
    init?(_ value: JSONValue) {
        if let elements = value.elements {
            self.init(coordinates: elements)
        } else if let type = value["type"], let coordinates = value["coordinates"] {
            guard type.stringValue == "Point", let elements = coordinates.elements else { return nil }
            self.init(coordinates: elements)
        } else {
            self.init(latitude: value["lat"], longitude: value["lon"])
        }
    }

    /// Nil unless both are numbers and degrees of a point.
    init?(latitude: JSONValue?, longitude: JSONValue?) {
        guard let latitude = latitude?.doubleValue, let longitude = longitude?.doubleValue else { return nil }
        self.init(latitude: latitude, longitude: longitude)
    }

    private init?(coordinates: [JSONValue]) {
        guard (2...3).contains(coordinates.count), coordinates.count == 2 || coordinates[2].doubleValue != nil else { return nil }
        self.init(latitude: coordinates[1], longitude: coordinates[0])
    }
}

/// Where a document may have the position of a column: in the column, or in two columns beside it, `<column>_lat` and `<column>_lon`,
/// which count when the column is null or missing. Any thread.
struct GeoColumn: Sendable {
    /// The column, and the two beside it unless the column is one of elements.
    let paths: [JSONPath]

    /// - Throws: `invalid_request` when the names beside the column would be too long.
    init(_ column: JSONPath) throws(ThemisError) {
        if column.isExpanded {
            paths = [column]
        } else {
            paths = [column, try JSONPath(column.text + "_lat"), try JSONPath(column.text + "_lon")]
        }
    }

    /// For error texts.
    static let forms = "[lon, lat], {\"lat\":…, \"lon\":…} or a GeoJSON Point, with lat -90…90 and lon -180…180"
}
