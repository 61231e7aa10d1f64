// Two streams in memory, each end of which reads what the other wrote, a turn later: as near to a socket as a stream
// can be without one.
import { Duplex } from 'node:stream'

class End extends Duplex {
  other

  _read() {}
  _write(chunk, _encoding, done) {
    setImmediate(() => {
      this.other.push(chunk)
      done()
    })
  }
  _writev(chunks, done) {
    setImmediate(() => {
      for (const { chunk } of chunks) this.other.push(chunk)
      done()
    })
  }
  _final(done) {
    setImmediate(() => {
      this.other.push(null)
      done()
    })
  }
}

export function streamPair() {
  const ends = [new End(), new End()]
  ends[0].other = ends[1]
  ends[1].other = ends[0]
  return ends
}

/** A stream whose other end is a machine: `receive` what was written, then `take` what it answers. */
export function streamTo(machine) {
  let planned = false
  const answer = () => {
    planned = false
    for (const chunk of machine.take()) stream.push(chunk)
  }
  const plan = () => {
    if (!planned) setImmediate(answer)
    planned = true
  }
  const stream = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      machine.receive(chunk)
      plan()
      done()
    },
    writev(chunks, done) {
      for (const { chunk } of chunks) machine.receive(chunk)
      plan()
      done()
    },
  })
  plan()
  return stream
}
