/// A reason not to rely on a result: a code and the values of its sentence.
public struct Doubt: Codable, Sendable, Equatable, CustomStringConvertible {
    /// The reasons that there are, as in `gfnet/results/doubts.json`.
    public enum Code: String, CaseIterable, Codable, Sendable {
        case stillWarming = "still-warming"
        case throttled
        case lowPower = "low-power"
        case interrupted, busy
        case fewSamples = "few-samples"
        case becameSlower = "became-slower"
        case becameFaster = "became-faster"
        case ratioUncertain = "ratio-uncertain"
        case ratioUnknown = "ratio-unknown"
        case modelGap = "model-gap"

        /// What a reader is shown, with the names of its values in braces.
        public var sentence: String {
            switch self {
            case .stillWarming: "times still fell after {rounds} rounds of warm-up"
            case .throttled:
                "the device throttled: thermal state {state} from round {round} of {rounds}; let it cool"
            case .lowPower: "low-power mode was on; switch it off"
            case .interrupted: "the program was put into the background; keep it in front"
            case .busy: "other processes kept {busy} of {cores} cores busy; stop them"
            case .fewSamples: "{subject}: {samples} times were taken, fewer than {fewest}; take more"
            case .becameSlower: "{subject}: became {percent} % slower while it was measured"
            case .becameFaster: "{subject}: became {percent} % faster while it was measured"
            case .ratioUncertain: "{subject}: its ratio is known to {percent} % only; take more rounds"
            case .ratioUnknown: "{subject}: its ratio is not known; take more rounds"
            case .modelGap: "{subject}: the measured mean latency is {factor} times the modelled one"
            }
        }
    }

    /// `nil` where an older release wrote the sentence itself.
    public let code: Code?
    /// As they are shown, by their names in the sentence.
    public let values: [String: String]
    /// The whole sentence.
    public let description: String

    private enum CodingKeys: String, CodingKey {
        case code, values
    }

    /// - Precondition: `values` are those of the code's sentence.
    public init(_ code: Code, _ values: [String: String] = [:]) {
        precondition(Self.names(in: code.sentence) == Set(values.keys), "\(code.rawValue) has other values")
        self.init(code, values, Self.filled(code.sentence, values))
    }

    private init(_ code: Code?, _ values: [String: String], _ description: String) {
        self.code = code
        self.values = values
        self.description = description
    }

    public init(from decoder: any Decoder) throws {
        if let sentence = try? decoder.singleValueContainer().decode(String.self) {
            self.init(nil, [:], sentence)
            return
        }
        let members = try decoder.container(keyedBy: CodingKeys.self)
        let code = try members.decode(Code.self, forKey: .code)
        let values = try members.decode(.values, default: [String: String]())
        guard Self.names(in: code.sentence) == Set(values.keys) else {
            throw members.problem(.values, "are not those of \(code.rawValue)")
        }
        self.init(code, values, Self.filled(code.sentence, values))
    }

    public func encode(to encoder: any Encoder) throws {
        guard let code else {
            var sentence = encoder.singleValueContainer()
            return try sentence.encode(description)
        }
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(code, forKey: .code)
        try members.encode(values, forKey: .values)
    }

    /// The names in braces.
    private static func names(in sentence: String) -> Set<String> {
        Set(pieces(sentence).filter(\.isName).map(\.text))
    }

    private static func filled(_ sentence: String, _ values: [String: String]) -> String {
        pieces(sentence).map { $0.isName ? values[$0.text] ?? "" : $0.text }.joined()
    }

    /// Text and names by turns.
    private static func pieces(_ sentence: String) -> [(text: String, isName: Bool)] {
        sentence.split(omittingEmptySubsequences: false) { $0 == "{" || $0 == "}" }.enumerated()
            .map { (String($1), $0 % 2 == 1) }
    }
}
