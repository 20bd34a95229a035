/**
 * Two agents of aioice, of Python, that call each other through the relay whose ng port is the first argument, and send each other RTP
 * and DTLS. The last line of its output says what was heard.
 */
export const iceAgents = `
import asyncio, json, re, socket, sys
library, host, port, own = sys.argv[1:]
sys.path.insert(0, library)
import aioice

def bencode(value):
    if isinstance(value, dict):
        return b'd' + b''.join(bencode(key) + bencode(item) for key, item in sorted(value.items())) + b'e'
    text = str(value).encode()
    return str(len(text)).encode() + b':' + text

def ask(cookie, request):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        control.settimeout(20)
        control.sendto(cookie.encode() + b' ' + bencode(request), (host, int(port)))
        return control.recv(65535).decode()

def sdp(agent):
    candidate = agent.local_candidates[0]
    lines = ['v=0', 'o=- 1 1 IN IP4 ' + own, 's=-', 'c=IN IP4 ' + candidate.host, 't=0 0',
             'm=audio %d UDP/TLS/RTP/SAVPF 8' % candidate.port, 'a=fingerprint:sha-256 AA:BB', 'a=rtcp-mux',
             'a=ice-ufrag:' + agent.local_username, 'a=ice-pwd:' + agent.local_password]
    return '\\r\\n'.join(lines + ['a=candidate:' + each.to_sdp() for each in agent.local_candidates] + [''])

async def take(agent, reply):
    agent.remote_is_lite = 'a=ice-lite' in reply
    agent.remote_username = re.search(r'a=ice-ufrag:(\\S+)', reply)[1]
    agent.remote_password = re.search(r'a=ice-pwd:(\\S+)', reply)[1]
    for text in re.findall(r'a=candidate:([^\\r]+)', reply):
        candidate = aioice.Candidate.from_sdp(text)
        if candidate.component == 1:
            await agent.add_remote_candidate(candidate)
    await agent.add_remote_candidate(None)

async def main():
    caller, callee = [aioice.Connection(ice_controlling=True, components=1) for _ in range(2)]
    await caller.gather_candidates()
    await callee.gather_candidates()
    call = {'call-id': 'ice', 'from-tag': 'f'}
    await take(callee, ask('1', {**call, 'command': 'offer', 'sdp': sdp(caller)}))
    await take(caller, ask('2', {**call, 'command': 'answer', 'to-tag': 't', 'sdp': sdp(callee)}))
    await asyncio.gather(caller.connect(), callee.connect())
    heard = {'rtp': 0, 'dtls': 0}
    async def pass_on(kind, packet):
        for one, other in ((caller, callee), (callee, caller)):
            await one.send(packet)
            heard[kind] += await asyncio.wait_for(other.recv(), 20) == packet
    await pass_on('dtls', bytes([22, 254, 253]) + bytes(20))
    for number in range(1, 51):
        await pass_on('rtp', bytes([0x80, 8, 0, number]) + bytes(8) + bytes(160))
        await asyncio.sleep(0.02)
    await pass_on('dtls', bytes([23, 254, 253]) + bytes(20))
    print(json.dumps(heard), flush=True)
    await caller.close()
    await callee.close()

asyncio.run(main())
`;
