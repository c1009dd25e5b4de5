import SwiftUI

/// A screen that says what is wrong and what to do.
struct FailureView: View {
    let title: String
    let reason: String

    var body: some View {
        ScrollView {
            VStack(spacing: 16) {
                Image(systemName: "exclamationmark.triangle").font(.largeTitle).accessibilityHidden(true)
                Text(title).font(.title2)
                Text(reason).textSelection(.enabled)
            }
            .padding()
        }
    }
}

/// The same within a screen.
struct FailureLine: View {
    let reason: String

    var body: some View {
        Label(reason, systemImage: "exclamationmark.triangle").foregroundStyle(.red)
    }
}
