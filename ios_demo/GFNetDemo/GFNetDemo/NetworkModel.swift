import GFNetKit
import SwiftUI
import UIKit

/// A network that is ready to be asked.
struct Installed {
    let bundle: ModelBundle
    let engine: AdaptiveEngine<CoreMLStepRunner>
}

/// Opens the app's network, and gives its memory back when the system asks.
@MainActor
final class NetworkModel: ObservableObject {
    enum State {
        case opening
        case failed(String)
        case ready(Installed)
    }

    @Published private(set) var state = State.opening
    private var warnings: Task<Void, Never>?

    func open() async {
        guard case .opening = state, let resources = Bundle.main.resourceURL else { return }
        do {
            // Digests of all weights: not on the thread that draws.
            let bundle = try await Task.detached { try InstalledNetwork.open(in: resources) }.value
            let runner = try CoreMLStepRunner(bundle)
            try await runner.prewarm()
            state = .ready(Installed(bundle: bundle, engine: AdaptiveEngine(runner)))
            warnings = Task {
                let name = UIApplication.didReceiveMemoryWarningNotification
                for await _ in NotificationCenter.default.notifications(named: name).map({ _ in () }) {
                    await runner.unload()
                }
            }
        } catch {
            state = .failed(error.localizedDescription)
        }
    }
}
