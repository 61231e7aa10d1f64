// The heads that we send: what is checked, and what is added to the caller's fields. A caller describes a message
// without a version; here it gets Host, the framing field that its content asks for, and the Connection options that
// other fields require. The caller's own fields keep their order, case and spelling; Host alone moves to the front.
//
// Everything that could be refused is refused before a byte counts. Without validation (harnesses) the fields are
// written as they are, and framing is added only where the caller gave none.
import type { ContentPlan, Fields, Framing } from '../http/index.ts'
import {
  asciiLower,
  checkTrailers,
  excerpt,
  EXPECTS_CONTENT,
  hasSome,
  isHost,
  isToken,
  listMembers,
  misuse,
  refuseExpect,
} from '../http/index.ts'
import { hasContent, hasOption, isSwitch, joined } from './framing.ts'
import { targetForm } from './grammar.ts'
import type { Output } from './writer.ts'
import { begin, Repeated, writeField, writeOwn, writeUnchecked, writeVisible } from './writer.ts'

/** What the caller's fields say, where it matters to the head. */
class Said {
  host = -1
  hosts = 0
  connection: string | undefined
  upgrade: string | undefined
  te = false
  expect = false
  framed = false
  chars = 0

  constructor(fields: Fields) {
    const { flat } = fields
    for (let i = 0; i < flat.length; i += 2) {
      const name = flat[i] as string
      const value = flat[i + 1] as string
      this.chars += name.length + value.length + 4
      switch (name) {
        case 'host':
          this.host = i / 2
          this.hosts++
          break
        case 'connection':
          this.connection = joined(this.connection, value)
          break
        case 'upgrade':
          this.upgrade = joined(this.upgrade, value)
          break
        case 'te':
          this.te = true
          break
        case 'expect':
          this.expect = true
          break
        case 'content-length':
        case 'transfer-encoding':
          this.framed = true
          break
      }
    }
  }
  option(name: string): boolean {
    return hasOption(this.connection, name)
  }
}

/** What of a sent head the connection has to know. */
export interface SentHead {
  readonly framing: Framing
  /** Of the content, where framing is 'length'. */
  readonly length: number
  /** It says that the connection closes after it. */
  readonly closes: boolean
  /** Its Upgrade field. */
  readonly upgrade: string | undefined
}

/** Chars of what is added to the caller's fields, start-line aside. */
const ADDED = 128

export function writeRequestHead(
  output: Output,
  method: string,
  target: string,
  authority: string | undefined,
  fields: Fields,
  plan: ContentPlan,
  validate: boolean,
): SentHead {
  const said = new Said(fields)
  const size = method.length + target.length + (authority ?? target).length
  begin(said.chars + size + ADDED)
  if (!validate) return writeAsGiven(output, `${method} ${target} HTTP/1.1\r\n`, fields, said, plan)
  if (!isToken(method)) throw misuse('method', 'RFC 9110 §9.1', `${excerpt(method)} is not a method`)
  writeOwn(method)
  writeOwn(' ')
  const form = writeVisible(target) ? targetForm(method, target) : undefined
  if (form === undefined) {
    throw misuse('target', 'RFC 9112 §3.2', `${excerpt(target)} is not a request-target for ${method}`)
  }
  if (method === 'CONNECT' && plan !== 'none') {
    throw misuse('content', 'RFC 9110 §9.3.6', 'a CONNECT request has no content')
  }
  if (method === 'TRACE' && hasSome(plan)) {
    throw misuse('content', 'RFC 9110 §9.3.8', 'a TRACE request has no content')
  }
  if (said.te) checkTe(fields)
  if (said.expect && !hasSome(plan)) refuseExpect(fields)
  const host = hostOf(fields, said, authority ?? form.authority)
  writeOwn(' HTTP/1.1\r\n')
  requestFields.begin()
  requestFields.writeField(said.host < 0 ? 'Host' : fields.rawName(said.host), host)
  const { flat, raw } = fields
  for (let i = 0; 2 * i < flat.length; i++) {
    if (i !== said.host) {
      requestFields.writeField((raw === undefined ? flat[2 * i] : raw[i]) as string, flat[2 * i + 1] as string)
    }
  }
  requestFields.end()
  writeFraming(said, plan === 'none' && EXPECTS_CONTENT.has(method) ? { length: 0 } : plan)
  writeOptions(said)
  writeOwn('\r\n')
  output.commit()
  requestFields.keep()
  return sent(said, plan)
}

const requestFields = new Repeated()

function checkTe(fields: Fields): void {
  const codings = fields.getAll('te').flatMap(listMembers)
  if (codings.some((coding) => /^chunked[ \t]*(?:;|$)/i.test(coding))) {
    throw misuse('te', 'RFC 9112 §7.4', 'TE does not list chunked, which is always acceptable')
  }
}

/** The value of the one Host field. RFC 9112 §3.2. */
function hostOf(fields: Fields, said: Said, authority: string | undefined): string {
  if (said.hosts > 1) throw misuse('host', 'RFC 9112 §3.2', 'a request has one Host field, not several')
  const host = said.host < 0 ? authority : fields.value(said.host)
  if (host === undefined) throw misuse('host', 'RFC 9112 §3.2', 'a request needs a Host field or an authority')
  if (!isHost(host)) throw misuse('host', 'RFC 9110 §7.2', `${excerpt(host)} is not a host with an optional port`)
  return host
}

/** true: it says that the connection closes. */
export function writeInformationalHead(output: Output, status: number, fields: Fields, validate: boolean): boolean {
  const said = new Said(fields)
  begin(said.chars + ADDED)
  const line = `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n`
  if (!validate) return writeAsGiven(output, line, fields, said, 'none').closes
  refuseFraming(said, status)
  writeOwn(line)
  writeFields(fields, true)
  writeOptions(said)
  writeOwn('\r\n')
  output.commit()
  return said.option('close')
}

/** What the request says that a response to it depends on. */
export interface Asked {
  readonly method: string
  /** Minor version. */
  readonly minor: number
  /** The protocols that it offers. */
  readonly upgrade: string | undefined
  /** Whether HTTP/1.0 keep-alive was asked for and is honoured. */
  readonly keepAlive: boolean
}

export function writeResponseHead(
  output: Output,
  status: number,
  reasonPhrase: string | undefined,
  fields: Fields,
  plan: ContentPlan,
  asked: Asked,
  closing: boolean,
  validate: boolean,
): SentHead {
  const said = new Said(fields)
  const reason = reasonPhrase ?? REASONS[status] ?? ''
  begin(said.chars + reason.length + ADDED)
  const line = `HTTP/1.1 ${status} ${reason}\r\n`
  const switches = isSwitch(asked.method, status)
  if (!validate) return writeAsGiven(output, line, fields, said, plan)
  if (/[^\t\x20-\x7e\x80-\xff]/.test(reason)) {
    throw misuse('reason-phrase', 'RFC 9112 §4', 'the reason-phrase has a char that may not be sent')
  }
  if (status === 101 && !isOffered(said.upgrade, asked.upgrade)) {
    throw misuse('upgrade', 'RFC 9110 §7.8', 'a 101 names in Upgrade what the request offered in Upgrade')
  }
  // HTTP/1.0 has no chunked: content of unknown length ends with the connection.
  const delimited = plan === 'unknown' && asked.minor === 0
  if (said.framed && delimited) {
    throw misuse('transfer-encoding', 'RFC 9112 §6.1', 'only who speaks HTTP/1.1 is sent Transfer-Encoding')
  }
  const closes = closing || said.option('close') || delimited
  writeOwn(line)
  writeFields(fields, true)
  const unframed = switches || status === 204
  if (unframed) refuseFraming(said, status)
  if ((unframed || status === 205) && hasSome(plan)) {
    throw misuse('content', 'RFC 9110 §6.4.1, §15.3.6', `a ${status} response here has no content`)
  }
  const full = hasContent(asked.method, status)
  // To HEAD and in 304 the framing fields say what a GET would have got. RFC 9110 §8.6.
  if (!unframed && !delimited) writeFraming(said, plan === 'none' && full ? { length: 0 } : plan)
  writeOptions(said, switches ? undefined : closes ? 'close' : asked.keepAlive ? 'keep-alive' : undefined)
  writeOwn('\r\n')
  output.commit()
  return sent(said, full ? plan : 'none', closes && !switches, delimited ? 'close-delimited' : 'chunked')
}

/** Whether the Upgrade of a 101 names protocols, and none but those that the request offers. RFC 9110 §7.8. */
export function isOffered(upgrade = '', offered = ''): boolean {
  const offers = listMembers(asciiLower(offered))
  const protocols = listMembers(asciiLower(upgrade))
  return protocols.length > 0 && protocols.every((protocol) => offers.includes(protocol))
}

/** RFC 9112 §6.1, RFC 9110 §8.6: none in 1xx, 204 and a 2xx to CONNECT. */
function refuseFraming(said: Said, status: number): void {
  if (said.framed) {
    throw misuse(
      'framing',
      'RFC 9110 §8.6',
      `a ${status} response here has neither Content-Length nor Transfer-Encoding`,
    )
  }
}

/** @param unknown how content of unknown length is framed */
function sent(said: Said, plan: ContentPlan, closes = said.option('close'), unknown: Framing = 'chunked'): SentHead {
  const { upgrade } = said
  if (plan === 'none') return { framing: 'none', length: 0, closes, upgrade }
  if (plan === 'unknown') return { framing: unknown, length: 0, closes, upgrade }
  return { framing: 'length', length: plan.length, closes, upgrade }
}

function writeFields(fields: Fields, validate: boolean): void {
  for (let i = 0; i < fields.length; i++) {
    if (validate) writeField(fields.rawName(i), fields.value(i))
    else writeUnchecked(`${fields.rawName(i)}: ${fields.value(i)}\r\n`)
  }
}

/** The framing field that the plan asks for, where the caller gave none. */
function writeFraming(said: Said, plan: ContentPlan): void {
  if (said.framed || plan === 'none') return
  if (plan === 'unknown') writeOwn('Transfer-Encoding: chunked\r\n')
  else writeOwn(`Content-Length: ${plan.length}\r\n`)
}

/** The Connection options that the message needs and its Connection field lacks. RFC 9110 §7.6.1, §7.8, §10.1.4. */
function writeOptions(said: Said, persistence?: 'close' | 'keep-alive'): void {
  let options = persistence === undefined || said.option(persistence) ? '' : persistence
  if (said.upgrade !== undefined && !said.option('upgrade')) options += options === '' ? 'Upgrade' : ', Upgrade'
  if (said.te && !said.option('te')) options += options === '' ? 'TE' : ', TE'
  if (options !== '') writeOwn(`Connection: ${options}\r\n`)
}

/** Trailer fields. RFC 9110 §6.5.1. */
export function writeTrailers(output: Output, trailers: Fields, validate: boolean): void {
  if (validate) checkTrailers(trailers)
  begin(new Said(trailers).chars + ADDED)
  writeOwn('0\r\n')
  writeFields(trailers, validate)
  writeOwn('\r\n')
  output.commit()
}

/** A harness's head: nothing is checked, and framing is added only where there is none. */
function writeAsGiven(output: Output, line: string, fields: Fields, said: Said, plan: ContentPlan): SentHead {
  writeUnchecked(line)
  writeFields(fields, false)
  writeFraming(said, plan)
  writeOwn('\r\n')
  output.commit()
  return sent(said, plan)
}

/** RFC 9110 §15, and what the registry has beyond it. */
const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue',
  101: 'Switching Protocols',
  102: 'Processing',
  103: 'Early Hints',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  203: 'Non-Authoritative Information',
  204: 'No Content',
  205: 'Reset Content',
  206: 'Partial Content',
  207: 'Multi-Status',
  208: 'Already Reported',
  226: 'IM Used',
  300: 'Multiple Choices',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  305: 'Use Proxy',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  423: 'Locked',
  424: 'Failed Dependency',
  425: 'Too Early',
  426: 'Upgrade Required',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  451: 'Unavailable For Legal Reasons',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  506: 'Variant Also Negotiates',
  507: 'Insufficient Storage',
  508: 'Loop Detected',
  511: 'Network Authentication Required',
}
