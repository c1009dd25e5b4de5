import GFNetKit
import SwiftUI

/// Latency over the rounds: a device that throttles shows it here.
struct RoundChart: View {
    let values: [Double]

    var body: some View {
        Canvas { context, size in
            let points = ChartLine(values, in: size).points
            var line = Path()
            line.addLines(points)
            context.stroke(line, with: .color(.accentColor), lineWidth: 2)
            for point in points {
                let dot = CGRect(x: point.x - 3, y: point.y - 3, width: 6, height: 6)
                context.fill(Path(ellipseIn: dot), with: .color(.accentColor))
            }
        }
        .frame(height: 140)
        .accessibilityLabel("Latency of \(values.count) rounds")
        .accessibilityValue(String(format: "last %.2f milliseconds", values.last ?? 0))
    }
}
