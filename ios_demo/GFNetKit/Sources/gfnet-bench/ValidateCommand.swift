import Foundation
import GFNetKit

/// `gfnet-bench validate`.
enum ValidateCommand {
    static func run(_ arguments: [String]) throws {
        let arguments = try Arguments(arguments, options: ["out"])
        let path = try arguments.onlyWord("RESULT.json")
        let result = try ResultFile.read(URL(fileURLWithPath: path))
        if let out = arguments["out"] { try ResultFile.write(result, to: URL(fileURLWithPath: out)) }
        let subjects = result.subjects.map(\.name).joined(separator: ", ")
        print("\(path): \(subjects) on \(result.machine.device), \(result.rounds) rounds of \(result.images) images")
    }
}
