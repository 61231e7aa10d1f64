// The cheapest HTTP/2 server there can be: it finds the frames, decodes nothing, and answers every request with the same
// bytes, made beforehand. It keeps to the flow control of the connection; a whole answer fits the window of a stream.
//
// It stands on the clock of every client, and is the same for all.

const HEADER = 9
const [DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE] = [0, 1, 4, 6, 8]
const END_STREAM = 1
/** As much as a socket gives at a time. */
const PIECE = 64 * 1024
const FRAME = 16 * 1024
const INITIAL_WINDOW = 65_535
const OPEN_WINDOW = 2 ** 31 - 1
/** Credit for content that was sent to it is given in portions. */
const CREDIT = 8 * 1024 * 1024

/** @param blocks field blocks of the first answer and of all later ones @param content of each answer */
export class Responder {
  #content
  #blocks
  #answered = 0
  #window = INITIAL_WINDOW
  #received = 0
  #waiting = []
  #out = []
  /** Whole answers, used again by turns: content in bulk is not copied. */
  #bulk = []
  #turn = 0
  // The frame in hand: its header, how much of it is read, how much of its payload is still to come.
  #header = Buffer.alloc(HEADER)
  #headerRead = 0
  #left = 24
  #payload = Buffer.alloc(8)

  constructor(blocks, content) {
    this.#blocks = blocks
    this.#content = content
    const settings = Buffer.from([0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0])
    settings.writeUInt32BE(OPEN_WINDOW, 11)
    this.#out.push(settings, windowUpdate(OPEN_WINDOW - INITIAL_WINDOW))
  }

  receive(chunk) {
    for (let at = 0; at < chunk.length; ) {
      if (this.#left > 0) {
        const n = Math.min(this.#left, chunk.length - at)
        if (this.#headerRead === HEADER && n <= 8) this.#keep(chunk, at, n)
        this.#left -= n
        at += n
      } else if (this.#headerRead < HEADER) this.#header[this.#headerRead++] = chunk[at++]
      if (this.#left > 0 || this.#headerRead < HEADER) continue
      if (!this.#begun) this.#begin()
      if (this.#left === 0) this.#end()
    }
    this.#answerWaiting()
  }

  #begun = false
  #begin() {
    this.#begun = true
    this.#left = (this.#header[0] << 16) | (this.#header[1] << 8) | this.#header[2]
  }
  #keep(chunk, at, n) {
    const length = (this.#header[1] << 8) | this.#header[2]
    for (let i = 0; i < n; i++) this.#payload[(length - this.#left + i) & 7] = chunk[at + i]
  }
  #end() {
    const [, , , type, flags] = this.#header
    const stream = this.#header.readUInt32BE(5)
    if ((type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0) this.#waiting.push(stream)
    if (type === DATA) this.#credit((this.#header[1] << 8) | this.#header[2])
    else if (type === SETTINGS && flags === 0) this.#out.push(Buffer.from([0, 0, 0, SETTINGS, 1, 0, 0, 0, 0]))
    else if (type === PING && flags === 0) {
      this.#out.push(Buffer.concat([Buffer.from([0, 0, 8, PING, 1, 0, 0, 0, 0]), this.#payload]))
    } else if (type === WINDOW_UPDATE && stream === 0) this.#window += this.#payload.readUInt32BE(0)
    this.#begun = false
    this.#headerRead = 0
  }

  #credit(n) {
    this.#received += n
    if (this.#received < CREDIT) return
    this.#out.push(windowUpdate(this.#received))
    this.#received = 0
  }

  /** What there is to send, in pieces. */
  take() {
    const out = this.#out
    this.#out = []
    return out
  }

  #answerWaiting() {
    const { length } = this.#content
    const n = length === 0 ? this.#waiting.length : Math.min(this.#waiting.length, Math.floor(this.#window / length))
    if (n === 0) return
    const streams = this.#waiting.splice(0, n)
    this.#window -= n * length
    if (length > PIECE) for (const stream of streams) this.#answerInBulk(stream)
    else this.#answerTogether(streams)
  }

  #answerTogether(streams) {
    const size = Math.max(...this.#blocks.map((block) => answerSize(block, this.#content)))
    const all = Buffer.allocUnsafe(size * streams.length)
    let at = 0
    for (const stream of streams) at = writeAnswer(all, at, stream, this.#nextBlock(), this.#content)
    for (let from = 0; from < at; from += PIECE) this.#out.push(all.subarray(from, Math.min(at, from + PIECE)))
  }

  #answerInBulk(stream) {
    const block = this.#nextBlock()
    const turn = this.#turn++ % 4
    if (this.#answered <= 2 || this.#bulk[turn] === undefined) {
      const whole = Buffer.alloc(answerSize(block, this.#content))
      writeAnswer(whole, 0, stream, block, this.#content)
      if (this.#answered > 1) this.#bulk[turn] = whole
      return this.#cut(whole)
    }
    const whole = this.#bulk[turn]
    whole.writeUInt32BE(stream, 5)
    for (let at = HEADER + block.length; at < whole.length; at += HEADER + FRAME) whole.writeUInt32BE(stream, at + 5)
    this.#cut(whole)
  }

  #cut(whole) {
    for (let from = 0; from < whole.length; from += PIECE) this.#out.push(whole.subarray(from, from + PIECE))
  }

  #nextBlock() {
    return this.#blocks[Math.min(this.#answered++, this.#blocks.length - 1)]
  }
}

function answerSize(block, content) {
  return HEADER + block.length + content.length + HEADER * Math.ceil(content.length / FRAME)
}

function writeAnswer(out, at, stream, block, content) {
  at = frame(out, at, HEADERS, content.length === 0 ? 5 : 4, stream, block)
  for (let from = 0; from < content.length; from += FRAME) {
    const end = from + FRAME >= content.length ? END_STREAM : 0
    at = frame(out, at, DATA, end, stream, content.subarray(from, from + FRAME))
  }
  return at
}

function frame(out, at, type, flags, stream, payload) {
  const { length } = payload
  out[at] = length >>> 16
  out[at + 1] = length >>> 8
  out[at + 2] = length
  out[at + 3] = type
  out[at + 4] = flags
  out.writeUInt32BE(stream, at + 5)
  out.set(payload, at + HEADER)
  return at + HEADER + length
}

function windowUpdate(increment) {
  const bytes = Buffer.from([0, 0, 4, WINDOW_UPDATE, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  bytes.writeUInt32BE(increment, HEADER)
  return bytes
}
