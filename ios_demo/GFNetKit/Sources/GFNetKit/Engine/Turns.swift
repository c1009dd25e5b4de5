/// Who is next, where only one may be at work: a queue, since an actor alone lets others in wherever it waits.
struct Turns {
    private var isTaken = false
    private var nextTicket = 0
    private var waiting: [(ticket: Int, continuation: CheckedContinuation<Void, any Error>)] = []

    /// Takes the turn, or else gives a ticket to wait with.
    mutating func takeIfFree() -> Int? {
        if !isTaken {
            isTaken = true
            return nil
        }
        nextTicket += 1
        return nextTicket
    }

    mutating func wait(_ ticket: Int, _ continuation: CheckedContinuation<Void, any Error>) {
        waiting.append((ticket, continuation))
    }

    /// Hands the turn on.
    mutating func pass() {
        if waiting.isEmpty {
            isTaken = false
        } else {
            waiting.removeFirst().continuation.resume()
        }
    }

    /// Takes somebody who gave up out of the queue; too late once it is their turn.
    mutating func leave(_ ticket: Int) {
        guard let place = waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
        waiting.remove(at: place).continuation.resume(throwing: CancellationError())
    }
}
