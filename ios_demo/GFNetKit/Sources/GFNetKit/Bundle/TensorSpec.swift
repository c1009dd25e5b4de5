/// One input or output of a subgraph.
public struct TensorSpec: Codable, Sendable, Equatable {
    public enum DType: String, Codable, Sendable {
        case float32, uint8
    }

    public enum Kind: String, Codable, Sendable {
        case tensor
        /// An RGB picture of 8 bits a channel.  Whoever has pixels with fractions rounds them, halves to even, and clips
        /// what a bicubic resize made darker than black or brighter than white.
        case image
    }

    public let name: String
    /// Of a picture: that of its planes inside the graph.
    public let shape: [Int]
    public let dtype: DType
    public let kind: Kind

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, shape, dtype, kind
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.closedContainer(CodingKeys.self)
        name = try values.text(.name)
        shape = try values.integers(.shape, 0...Limits.dimensions, in: 1...Limits.count)
        dtype = try values.decode(DType.self, forKey: .dtype)
        kind = try values.decode(.kind, default: .tensor)
        try decoder.consistent(check)
    }

    private func check() throws {
        // In floating point, where no product of eight counts overflows.
        if shape.reduce(1.0, { $0 * Double($1) }) > Double(Limits.elements) {
            throw Contradiction(reason: "\(name) of \(shape) is larger than any tensor of a network")
        }
        if kind == .image && !name.isSpelled(TensorName.image) && !name.isSpelled(TensorName.patch) {
            throw Contradiction(reason: "\(name) cannot be an image")
        }
        if dtype != (kind == .image || name.isSpelled(TensorName.pixels) ? .uint8 : .float32) {
            throw Contradiction(reason: "\(name) cannot be \(dtype.rawValue)")
        }
    }
}
