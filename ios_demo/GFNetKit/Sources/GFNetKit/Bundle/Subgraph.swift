/// One exported part of the network.
public struct Subgraph: Codable, Sendable, Equatable {
    public let name: String
    public let role: Role
    /// The steps (1 ... T) that run it.
    public let steps: [Int]
    /// Its file or package, relative to the manifest; several may lie in one package.
    public let path: String
    /// Which function of the package it is, where there are several.
    public let function: String?
    /// Digest of every file that holds content, by path relative to the manifest.
    public let sha256: [String: String]
    public let inputs: [TensorSpec]
    public let outputs: [TensorSpec]
    /// Layers that were left in floating point where the others are 8-bit.
    public let floatLayers: [String]

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, role, steps, path, function, sha256, inputs, outputs
        case floatLayers = "float_layers"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.closedContainer(CodingKeys.self)
        name = try values.text(.name)
        role = try values.decode(Role.self, forKey: .role)
        steps = try values.integers(.steps, 1...Limits.steps, in: 1...Limits.steps)
        path = try values.decode(String.self, forKey: .path)
        function =
            try values.contains(.function) && !values.decodeNil(forKey: .function) ? values.text(.function) : nil
        sha256 = try values.table(.sha256, 1...Limits.files, name: \.isPlainPath, value: \.isSHA256)
        inputs = try values.list(.inputs, 0...Limits.tensors)
        outputs = try values.list(.outputs, 0...Limits.tensors)
        floatLayers = values.contains(.floatLayers) ? try values.list(.floatLayers, 0...Limits.floatLayers) : []
        try decoder.consistent(check)
    }

    private func check() throws {
        guard floatLayers.allSatisfy(\.isText) else {
            throw Contradiction(reason: "float_layers are not all one line of 1 ... \(Limits.text) characters")
        }
        guard path.isPlainPath else {
            throw Contradiction(reason: "path \(path.oneLine) is no plain relative path inside the bundle")
        }
        for file in sha256.keys where !file.isSpelled(path) && !file.utf8.starts(with: (path + "/").utf8) {
            throw Contradiction(reason: "sha256 has \(file.oneLine), which is no part of \(path)")
        }
        let given = inputs.map(\.name).sorted()
        guard given.isSpelled(role.inputs.sorted()) else {
            throw Contradiction(
                reason: "a \(role) has the inputs \(role.inputs.sorted().joined(separator: ", ")), not "
                    + given.joined(separator: ", "))
        }
        let told = Set(outputs.map { Array($0.name.utf8) })
        guard told.count == outputs.count, role.answers.allSatisfy({ told.contains(Array($0.utf8)) }) else {
            throw Contradiction(
                reason: "a \(role) gives \(role.answers.sorted().joined(separator: ", ")), not "
                    + outputs.map(\.name).joined(separator: ", "))
        }
    }
}

extension [String] {
    fileprivate func isSpelled(_ other: [String]) -> Bool {
        count == other.count && zip(self, other).allSatisfy { $0.isSpelled($1) }
    }
}

extension String {
    /// Whether it names something inside a folder, in the one spelling that there is for it.
    var isPlainPath: Bool {
        let parts = utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return (1...Limits.path).contains(unicodeScalars.count)
            && parts.allSatisfy { part in
                !part.isEmpty && part.count <= Limits.name && !part.elementsEqual(".".utf8)
                    && !part.elementsEqual("..".utf8)
            }
            && !utf8.contains(UInt8(ascii: "\\")) && !utf8.contains(UInt8(ascii: ":")) && isPrintable
    }
}
