// What a peer can do wrong beyond the shape of a frame: the code, the rule and the words of each. Who judges, and how
// far it reaches, is the business of whoever uses them.
import type { Role } from '../http/index.ts'
import { violation, wrongSize, type Violation } from './frames.ts'

export const DATA_BEFORE_HEAD = violation('data-before-head', 'RFC 9113 §8.1', 'DATA before HEADERS')
const SHORT = wrongLength('less content than promised')
/** To a client a response is incomplete whether its stream ended early or the connection did. */
export const SHORT_CONTENT: Readonly<Record<Role, Violation>> = {
  client: { ...SHORT, code: 'incomplete-message' },
  server: SHORT,
}
export const LONG_CONTENT = wrongLength('more content than the head allows')
function wrongLength(message: string): Violation {
  return violation('content-length', 'RFC 9113 §8.1.1', message)
}

export const TOO_LARGE: Violation = {
  ...violation('limit-content', 'RFC 9110 §15.5.14', 'the content is too large', 'CANCEL'),
  status: 413,
}

export const SECOND_HEAD = wrongSequence('HEADERS after the head without END_STREAM')
export const ENDED_BY_INFORMATIONAL = wrongSequence('END_STREAM with an informational response')
export const TUNNEL_HEADERS = wrongSequence('HEADERS in a tunnel', 'RFC 9113 §8.5')
function wrongSequence(message: string, rule = 'RFC 9113 §8.1'): Violation {
  return violation('sequence', rule, message)
}

export const PUSHED = violation('push', 'RFC 9113 §8.4', 'push was refused by our SETTINGS')
export const PADDING = violation('padding', 'RFC 9113 §6.2', 'padding beyond the payload')
export const HEADERS_TOO_SHORT = wrongSize('RFC 9113 §4.2', 'HEADERS without its own fields')
export const BLOCK_TOO_LARGE = violation(
  'limit-continuation',
  'RFC 9113 §10.5.1',
  'a field block too large',
  'ENHANCE_YOUR_CALM',
)
export const ACK_WITH_PAYLOAD = wrongSize('RFC 9113 §6.5', 'SETTINGS with ACK and a payload')
export const TOO_MANY_STREAMS = violation(
  'capacity',
  'RFC 9113 §5.1.2',
  'the peer takes fewer streams now than wait to be opened',
  'REFUSED_STREAM',
)
export const SETTINGS_OVERDUE = violation(
  'settings-timeout',
  'RFC 9113 §6.5.3',
  'SETTINGS were not acknowledged',
  'SETTINGS_TIMEOUT',
)

export function beforeSettings(frame: string): Violation {
  return violation('preface', 'RFC 9113 §3.4', `${frame} before SETTINGS`)
}
export function outOfPlace(frame: string): Violation {
  return violation('continuation', 'RFC 9113 §6.10', `${frame} out of place`)
}
export function calm(code: string): Violation {
  return violation(code, 'RFC 9113 §10.5', 'the peer does too much of it', 'ENHANCE_YOUR_CALM')
}
export function badStream(frame: string, id: number): Violation {
  return violation('stream-id', 'RFC 9113 §5.1.1', `${frame} on stream ${id}`)
}
export function badPriorityUpdate(message: string): Violation {
  return violation('priority-update', 'RFC 9218 §7.1', message)
}
export function overrun(of: 'connection' | 'stream'): Violation {
  return violation('flow-control', 'RFC 9113 §6.9.1', `more DATA than the window of the ${of}`, 'FLOW_CONTROL_ERROR')
}
export function badIncrement(increment: number): Violation {
  return increment === 0
    ? violation('window-update', 'RFC 9113 §6.9', 'an increment of 0')
    : violation('flow-control', 'RFC 9113 §6.9.1', 'a window above 2^31−1', 'FLOW_CONTROL_ERROR')
}
