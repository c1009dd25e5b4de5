/// The name of any member of an object; with its position where an object has two members of one name.
struct NameKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(_ name: String, at position: Int? = nil) {
        stringValue = name
        intValue = position
    }

    init(stringValue: String) {
        self.init(stringValue)
    }

    init(intValue: Int) {
        self.init(String(intValue), at: intValue)
    }
}
