/// A command line: words, and options that each have a value.
struct Arguments {
    private(set) var words: [String] = []
    private var options: [String: String] = [:]
    private var flags: Set<String> = []

    /// - Parameters:
    ///   - options: those that take a value, without the dashes.
    ///   - flags: those that take none.
    /// - Throws: `UsageError`: an unknown option, one without its value, or one given twice.
    init(_ arguments: [String], options known: Set<String>, flags knownFlags: Set<String> = []) throws {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--") else {
                words.append(argument)
                continue
            }
            let name = String(argument.dropFirst(2))
            if knownFlags.contains(name) {
                flags.insert(name)
            } else if !known.contains(name) {
                throw UsageError("no such option: \(argument); `gfnet-bench --help` lists them")
            } else if options[name] != nil {
                throw UsageError("\(argument) is given twice; give it once")
            } else if let value = rest.popFirst() {
                options[name] = value
            } else {
                throw UsageError("\(argument) needs a value; write it behind the option")
            }
        }
    }

    subscript(name: String) -> String? { options[name] }

    func has(_ flag: String) -> Bool { flags.contains(flag) }

    /// - Throws: `UsageError`: it is missing.
    func required(_ name: String) throws -> String {
        guard let value = options[name] else { throw UsageError("--\(name) is missing; give it a value") }
        return value
    }

    /// A whole number of at least 1.
    ///
    /// - Throws: `UsageError`: it is not a number in that range.
    func count(_ name: String, default usual: Int) throws -> Int {
        guard let text = options[name] else { return usual }
        guard let value = Int(text), (1...100_000).contains(value) else {
            throw UsageError("--\(name) \(text): give a whole number from 1 to 100000")
        }
        return value
    }

    /// The only word.
    ///
    /// - Throws: `UsageError`: it is missing, or there are several.
    func onlyWord(_ what: String) throws -> String {
        guard words.count == 1, let word = words.first else {
            throw UsageError("\(words.count) arguments where one is expected: \(what)")
        }
        return word
    }
}

/// A command line that cannot be understood.
struct UsageError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
