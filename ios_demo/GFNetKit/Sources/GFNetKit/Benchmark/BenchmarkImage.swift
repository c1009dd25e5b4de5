/// A picture that is ready to be classified.
public struct BenchmarkImage: Sendable {
    public let name: String
    public let square: PixelSquare
    /// Its class, where known.
    public let classIndex: Int?

    public init(name: String, square: PixelSquare, classIndex: Int? = nil) {
        self.name = name
        self.square = square
        self.classIndex = classIndex
    }
}
