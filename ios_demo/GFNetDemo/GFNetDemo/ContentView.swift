import SwiftUI

/// The three screens, or why there are none.
struct ContentView: View {
    @ObservedObject var network: NetworkModel

    var body: some View {
        switch network.state {
        case .opening:
            ProgressView("Loading the network")
        case .failed(let reason):
            FailureView(title: "No network", reason: reason)
        case .ready(let installed):
            TabView {
                LookView(model: LookModel(installed))
                    .tabItem { Label("Look", systemImage: "eye") }
                BenchmarkView(model: BenchmarkModel(installed.bundle))
                    .tabItem { Label("Benchmark", systemImage: "stopwatch") }
                AboutView(bundle: installed.bundle)
                    .tabItem { Label("About", systemImage: "info.circle") }
            }
        }
    }
}
