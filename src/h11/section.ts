// One section of a message (a head, or trailers) as it lies in memory, and the one pass over it: RFC 9112 §3 to §5 as far
// as the bytes have come. Where they run out the scan stops at a sentinel; with more bytes it goes on exactly there. Names
// are compared with those of the section before, values are looked at four bytes at a time.
//
// It knows the grammar, and nothing of what the fields mean: that is framing's. The first fault in the order of the bytes
// wins, so it never depends on how they came.
import type { ResolvedLimits, Role } from '../http/index.ts'
import { TCHAR } from '../http/index.ts'
import type { FaultCode } from './faults.ts'
import type { FieldName } from './grammar.ts'
import { COLON, CR, DEL, HTAB, LF, nameOf, SP } from './grammar.ts'
import type { Lenient } from './lenient.ts'

/** What may stand in a section, and how much of it. */
export interface SectionRules {
  /** What precedes the fields; undefined: nothing, as in a trailer section. */
  readonly startLine: 'request' | 'response' | undefined
  readonly maxLine: number
  readonly maxCount: number
  readonly tooLarge: FaultCode
  readonly tooMany: FaultCode
  readonly bareLf: boolean
  readonly fold: boolean
  readonly skipInvalid: boolean
  readonly spaceBeforeColon: boolean
  readonly statusLineWithoutSpace: boolean
}

export const INCOMPLETE = 0
export const COMPLETE = 1
export const FAULTY = 2
export type Outcome = typeof INCOMPLETE | typeof COMPLETE | typeof FAULTY

// Where a scan stands.
const START = 0
const LINE = 1
const NAME = 2
const COLON_WANTED = 3
const OWS = 4
const VALUE = 5
const SKIP = 6

/** Room behind the bytes for the sentinel, which the scan of four bytes at a time may overshoot. */
const SENTINEL = 8
/** Up to here a loop is done before a call of `set` has begun. */
const BY_HAND = 16

/** Bytes of one section and what has been found in them. */
export class Section {
  bytes: Uint8Array
  view: DataView
  /** Start and end of each value. */
  lines: Int32Array
  length = 0
  /** How many bytes were ever written: behind them all is 0. */
  written = 0
  /** What it is read by; undefined: nothing was yet. */
  rules: SectionRules | undefined
  pos = 0
  phase = START
  /** Where the current line, name or value began. */
  start = 0
  count = 0
  folded = false
  /** Whether any line was left out, and whether the latest one was. */
  skipped = false
  skipping = false
  /** Whether a name differs from the one that the memo had at its position. */
  renamed = false
  // Of a request-line: where method and target end. Of a status-line: where the reason-phrase begins (`mark`) and ends
  // (`targetEnd`).
  methodEnd = 0
  targetEnd = 0
  mark = 0
  minor = 1
  status = 0
  fault: FaultCode = 'field-line'

  constructor(size: number, fields: number) {
    this.bytes = new Uint8Array(size + SENTINEL)
    this.view = new DataView(this.bytes.buffer)
    this.lines = new Int32Array(2 * fields)
  }
  /** Empty, for a section of these rules. */
  reset(rules: SectionRules): void {
    this.length = this.pos = this.start = this.count = this.methodEnd = this.targetEnd = this.mark = 0
    this.folded = this.skipped = this.skipping = this.renamed = false
    this.phase = rules.startLine === undefined ? LINE : START
    this.rules = rules
  }
  /** Takes bytes from … to of data. */
  append(data: Uint8Array, from: number, to: number): void {
    const length = this.length + to - from
    if (length + SENTINEL > this.bytes.length) this.grow(length)
    if (to - from <= BY_HAND) for (let i = from, at = this.length; i < to; i++, at++) this.bytes[at] = data[i] as number
    else this.bytes.set(from === 0 && to === data.length ? data : data.subarray(from, to), this.length)
    // Only where something was written before is there anything to clear.
    const dirty = Math.min(length + SENTINEL, this.written)
    for (let i = length; i < dirty; i++) this.bytes[i] = 0
    if (length > this.written) this.written = length
    this.length = length
  }
  grow(length: number): void {
    const old = this.bytes
    this.bytes = new Uint8Array(Math.max(2 * this.length, length, 1024) + SENTINEL)
    this.view = new DataView(this.bytes.buffer)
    this.bytes.set(old.subarray(0, this.length))
  }
  moreLines(): void {
    const old = this.lines
    this.lines = new Int32Array(4 * old.length)
    this.lines.set(old)
  }
  /** All that the other has. */
  copy(other: Section): void {
    this.length = 0
    this.append(other.bytes, 0, other.length)
    while (this.lines.length < 2 * other.count) this.moreLines()
    for (let i = 0; i < 2 * other.count; i++) this.lines[i] = other.lines[i] as number
    this.rules = other.rules
    this.pos = other.pos
    this.phase = other.phase
    this.start = other.start
    this.count = other.count
    this.folded = other.folded
    this.skipped = other.skipped
    this.skipping = other.skipping
    this.renamed = other.renamed
    this.methodEnd = other.methodEnd
    this.targetEnd = other.targetEnd
    this.mark = other.mark
    this.minor = other.minor
    this.status = other.status
  }
  stop(pos: number, phase: number, start: number, count: number): Outcome {
    this.pos = pos
    this.phase = phase
    this.start = start
    this.count = count
    return INCOMPLETE
  }
  fail(fault: FaultCode, pos: number): Outcome {
    this.fault = fault
    this.pos = pos
    return FAULTY
  }
}

/** Looks at what has come since the last time. `names`: of the section before, by position; they become this one's. */
export function scan(section: Section, names: FieldName[], rules: SectionRules): Outcome {
  if (section.phase === START) {
    const outcome = rules.startLine === 'request' ? requestLine(section, rules) : statusLine(section, rules)
    if (outcome !== COMPLETE) return outcome
    section.phase = LINE
  }
  return fieldLines(section, names, rules)
}

/** `method SP request-target SP HTTP-version CRLF`, from where it was left. RFC 9112 §3. */
function requestLine(section: Section, rules: SectionRules): Outcome {
  const { bytes, length } = section
  const { maxLine } = rules
  let p = section.pos
  if (section.methodEnd === 0) {
    while (TCHAR[bytes[p] as number] === 1) p++
    if (p > maxLine) return section.fail('limit-request-line', maxLine)
    if (p >= length) return section.stop(p, START, 0, 0)
    if (p === 0 || bytes[p] !== SP) return section.fail('request-line', p)
    section.methodEnd = p++
  }
  if (section.targetEnd === 0) {
    while ((bytes[p] as number) > SP && (bytes[p] as number) < DEL) p++
    if (p > maxLine) return section.fail('limit-request-line', maxLine)
    if (p >= length) return section.stop(p, START, 0, 0)
    if (p === section.methodEnd + 1 || bytes[p] !== SP) return section.fail('request-line', p)
    section.targetEnd = p++
  }
  section.pos = p
  const version = section.targetEnd + 1
  let outcome = matches(section, version, VERSION, 'request-line')
  if (outcome !== COMPLETE) return outcome
  const end = version + VERSION.length
  if (end > maxLine) return section.fail('limit-request-line', maxLine)
  outcome = lineEnd(section, end, rules, 'request-line')
  if (outcome !== COMPLETE) return outcome
  return versionAt(section, version)
}

export const VERSION = 'HTTP/0.0'

/** Whether the pattern stands at `from`, in which a digit is any from itself to 9. */
function matches(section: Section, from: number, pattern: string, fault: FaultCode): Outcome {
  const { bytes, length } = section
  for (let i = 0; i < pattern.length; i++) {
    if (from + i >= length) return INCOMPLETE
    const c = bytes[from + i] as number
    const least = pattern.charCodeAt(i)
    const most = least >= 0x30 && least <= 0x39 ? 0x39 : least
    if (c < least || c > most) return section.fail(fault, from + i)
  }
  return COMPLETE
}

/** Takes the version at `from`, which is 1.1 or 1.0. RFC 9112 §2.3. */
function versionAt(section: Section, from: number): Outcome {
  section.minor = (section.bytes[from + 7] as number) - 0x30
  return section.bytes[from + 5] === 0x31 && section.minor <= 1 ? COMPLETE : section.fail('version', from)
}

/** CRLF at `p`, or the bare LF that a leniency lets through; `fault`: something else stands there. RFC 9112 §2.2. */
function lineEnd(section: Section, p: number, rules: SectionRules, fault: FaultCode): Outcome {
  const { bytes, length } = section
  if (p >= length) return INCOMPLETE
  if (bytes[p] === CR) {
    if (p + 1 >= length) return INCOMPLETE
    if (bytes[p + 1] !== LF) return section.fail('bare-cr', p)
    section.pos = p + 2
    return COMPLETE
  }
  if (bytes[p] !== LF) return section.fail(fault, p)
  if (!rules.bareLf) return section.fail('bare-lf', p)
  section.pos = p + 1
  return COMPLETE
}

/** `HTTP-version SP 3DIGIT SP [ reason-phrase ] CRLF`, from where it was left. RFC 9112 §4. */
function statusLine(section: Section, rules: SectionRules): Outcome {
  const { bytes, length } = section
  if (section.mark === 0) {
    let outcome = matches(section, 0, VERSION + ' ', 'status-line')
    if (outcome === COMPLETE) outcome = versionAt(section, 0)
    // Three digits of which the first is not 0.
    if (outcome === COMPLETE) outcome = matches(section, 9, '100', 'status-line')
    if (outcome !== COMPLETE) return outcome
    if (length <= 12) return INCOMPLETE
    section.status =
      100 * ((bytes[9] as number) - 0x30) + 10 * ((bytes[10] as number) - 0x30) + (bytes[11] as number) - 0x30
    if (bytes[12] === SP) section.mark = 13
    else if (rules.statusLineWithoutSpace && (bytes[12] === CR || bytes[12] === LF)) section.mark = 12
    else return section.fail('status-line', 12)
    section.pos = section.mark
  }
  let p = section.pos
  while ((bytes[p] as number) >= SP || bytes[p] === HTAB) p++
  section.pos = section.targetEnd = p
  return lineEnd(section, p, rules, 'status-line')
}

/** `*( field-line CRLF ) CRLF`, from where it was left. RFC 9112 §5. */
function fieldLines(section: Section, names: FieldName[], rules: SectionRules): Outcome {
  const { bytes, view, length } = section
  let { pos: p, phase, start, count, lines } = section
  for (;;) {
    if (phase === LINE) {
      const c = bytes[p] as number
      if (c <= SP) {
        if (c === CR || c === LF || p >= length) {
          section.stop(p, LINE, p, count)
          return lineEnd(section, p, rules, 'field-line')
        }
        if (c === SP || c === HTAB) {
          if (count === 0 || section.skipping) {
            // What continues a line that was left out is left out too.
            if (!rules.skipInvalid) return section.fail('leading-whitespace', p)
            phase = SKIP
          } else {
            if (!rules.fold) return section.fail('obs-fold', p)
            // The line goes on: so does the value before it.
            count--
            start = lines[2 * count] as number
            section.folded = true
            phase = VALUE
          }
        }
      }
      if (phase === LINE) {
        if (count >= rules.maxCount) return section.fail(rules.tooMany, p)
        start = p
        phase = NAME
        const memo = names[count]
        if (memo !== undefined && memo.standsAt(view, p)) {
          p += memo.length
          phase = OWS
        }
      }
    }
    if (phase === NAME) {
      while (TCHAR[bytes[p] as number] === 1) p++
      if (p >= length) return section.stop(p, NAME, start, count)
      const c = bytes[p] as number
      if (c === COLON && p > start) {
        // It may have come in pieces: then it was not compared when its line began.
        if (names[count]?.standsAt(view, start) !== true) {
          names[count] = nameOf(bytes, view, start, p)
          section.renamed = true
        }
        p++
        phase = OWS
      } else if ((c === SP || c === HTAB) && p > start && rules.spaceBeforeColon) {
        names[count] = nameOf(bytes, view, start, p)
        section.renamed = true
        phase = COLON_WANTED
      } else {
        if (!rules.skipInvalid) return section.fail(nameFault(c, p > start), p)
        phase = SKIP
      }
    }
    if (phase === COLON_WANTED) {
      while (bytes[p] === SP || bytes[p] === HTAB) p++
      if (p >= length) return section.stop(p, COLON_WANTED, start, count)
      if (bytes[p] === COLON) {
        p++
        phase = OWS
      } else {
        if (!rules.skipInvalid) return section.fail('field-name', p)
        phase = SKIP
      }
    }
    if (phase === OWS) {
      while (bytes[p] === SP || bytes[p] === HTAB) p++
      if (p >= length) return section.stop(p, OWS, start, count)
      start = p
      phase = VALUE
    }
    while (phase === VALUE) {
      // Up to the next control, four bytes at a time.
      let controls: number
      do {
        const x = view.getInt32(p, true)
        // The lowest bit that this leaves is of the first byte below SP.
        controls = (x - 0x20202020) & ~x & 0x80808080
        p += 4
      } while (controls === 0)
      p += ((31 - Math.clz32(controls & -controls)) >> 3) - 4
      if (p >= length) return section.stop(p, VALUE, start, count)
      const c = bytes[p] as number
      let end = p
      if (c === CR) {
        if (p + 1 >= length) return section.stop(p, VALUE, start, count)
        if (bytes[p + 1] === LF) p += 2
        else if (rules.skipInvalid) phase = SKIP
        else return section.fail('bare-cr', p)
      } else if (c === HTAB) {
        p++
        continue
      } else if (c === LF && rules.bareLf) p++
      else if (rules.skipInvalid) phase = SKIP
      else return section.fail(c === LF ? 'bare-lf' : 'field-value', p)
      if (phase === SKIP) break
      while (end > start && ((bytes[end - 1] as number) === SP || bytes[end - 1] === HTAB)) end--
      if (2 * count >= lines.length) {
        section.moreLines()
        lines = section.lines
      }
      lines[2 * count] = start
      lines[2 * count + 1] = end
      count++
      section.skipping = false
      phase = LINE
    }
    if (phase === SKIP) {
      section.skipped = section.skipping = true
      while (p < length && bytes[p] !== LF) p++
      if (p >= length) return section.stop(p, SKIP, start, count)
      if (bytes[p - 1] !== CR && !rules.bareLf) return section.fail('bare-lf', p)
      p++
      phase = LINE
    }
  }
}

/** What is wrong with the byte after a field name. It must not depend on bytes that may not have come yet. */
function nameFault(c: number, named: boolean): FaultCode {
  if (c === CR || c === LF) return 'field-line'
  return named && (c === SP || c === HTAB) ? 'space-before-colon' : 'field-name'
}

/**
 * The rules of what one who plays `role` receives; heads are known by the object. Trailer sections belong to the framing
 * of chunks, so that a bare LF never ends a line there.
 */
export function sectionRules(trailers: boolean, role: Role, lenient: Lenient, limits: ResolvedLimits): SectionRules {
  return {
    startLine: trailers ? undefined : role === 'server' ? 'request' : 'response',
    maxLine: limits.maxRequestLineBytes,
    maxCount: trailers ? limits.maxTrailerCount : limits.maxHeaderCount,
    tooLarge: trailers ? 'limit-trailer' : 'limit-head',
    tooMany: trailers ? 'limit-trailer-count' : 'limit-header-count',
    bareLf: lenient.bareLf && !trailers,
    fold: role === 'client' || lenient.obsFold,
    skipInvalid: lenient.skipInvalidFields,
    spaceBeforeColon: lenient.spaceBeforeColon,
    statusLineWithoutSpace: lenient.statusLineWithoutSpace,
  }
}
