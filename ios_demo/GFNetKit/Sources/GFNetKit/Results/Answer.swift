/// What the loop said of one image.
public struct Answer: Codable, Sendable, Equatable {
    public var image: String
    public var exitStep: Int
    public var classIndex: Int

    enum CodingKeys: String, CodingKey {
        case image
        case exitStep = "exit_step"
        case classIndex = "class_index"
    }

    public init(image: String, exitStep: Int, classIndex: Int) {
        self.image = image
        self.exitStep = exitStep
        self.classIndex = classIndex
    }
}
