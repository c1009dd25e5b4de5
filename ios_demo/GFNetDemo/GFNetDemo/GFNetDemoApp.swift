import SwiftUI

@main
struct GFNetDemoApp: App {
    @StateObject private var network = NetworkModel()

    var body: some Scene {
        WindowGroup {
            ContentView(network: network)
                .task { await network.open() }
        }
    }
}
