import GFNetKit
import SwiftUI

/// Which network this is.
struct AboutView: View {
    let bundle: ModelBundle

    var body: some View {
        let manifest = bundle.manifest
        NavigationStack {
            List {
                Section("Network") {
                    LabeledContent("Backbone", value: manifest.architecture)
                    LabeledContent("Steps", value: "\(manifest.steps)")
                    LabeledContent("Image", value: "\(manifest.preprocessing.imageSize) pixels")
                    LabeledContent("Patch", value: "\(manifest.patchSize) pixels")
                    LabeledContent("Classes", value: "\(manifest.numClasses)")
                }
                Section("Bundle") {
                    LabeledContent("Precision", value: manifest.precision.rawValue)
                    LabeledContent("Weights", value: manifest.compression.rawValue)
                    LabeledContent("Layout", value: manifest.layout.rawValue)
                    LabeledContent("Made by gfnet", value: manifest.exporter.gfnet)
                }
                Section {
                    Text("Photos stay on this phone: the app has no network access and keeps nothing.")
                }
            }
            .navigationTitle("About")
        }
    }
}
