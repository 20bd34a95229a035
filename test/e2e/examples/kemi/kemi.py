"""Kamailio's routes for kemi.cfg: each call's relay is asked of Holdfast over gRPC."""

import json

import grpc
import KSR

from holdfast_client import Holdfast

PROC_INIT = -127
PROC_MAIN = 0
MEDIA_FLAGS = "replace-origin replace-session-connection ICE=remove"
RELAY_SET = "$avp(relay_set)"


def mod_init():
    return Proxy()


class Proxy:
    def __init__(self):
        self._holdfast = None
        self._sets = {}

    def child_init(self, rank):
        # gRPC has threads, and threads do not survive a fork: the channel is made here, in each process that serves
        # SIP (the timer is one: it runs the failure route of a call that nobody answers), and never before.
        if rank not in (PROC_INIT, PROC_MAIN):
            self._holdfast = Holdfast(KSR.pv.get("$def(HOLDFAST)").strip('"'))
        return 0

    def ksr_request_route(self, msg):
        if KSR.maxfwd.process_maxfwd(10) < 0:
            KSR.sl.sl_send_reply(483, "Too Many Hops")
            return 1
        if KSR.is_CANCEL():
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return 1
        if KSR.tm.t_check_trans() == 0:  # a copy of what is being served
            return 1
        if KSR.is_REGISTER():
            if KSR.registrar.save("location", 0) < 0:
                KSR.sl.sl_reply_error()
            return 1
        if KSR.siputils.has_totag() > 0:
            KSR.rr.loose_route()
        elif KSR.is_INVITE() and KSR.registrar.lookup("location") < 0:
            KSR.sl.sl_send_reply(404, "Not Found")
            return 1
        if KSR.is_ACK():
            KSR.tm.t_relay()
            return 1
        KSR.tm.t_newtran()  # from here on copies of this request are absorbed
        if KSR.is_INVITE() and KSR.textops.has_body_type("application/sdp") > 0:
            if not self.offer(KSR.pv.get("$ci")):
                KSR.tm.t_reply(503, "No Media Relay")
                return 1
            KSR.tm.t_on_reply("ksr_onreply_media")
            if KSR.siputils.has_totag() < 0:
                KSR.tm.t_on_failure("ksr_failure_unanswered")
        if KSR.is_BYE():
            self.hang_up(KSR.pv.get("$ci"))
        KSR.tm.t_relay()
        return 1

    def ksr_onreply_media(self, msg):
        if KSR.textops.has_body_type("application/sdp") > 0:
            KSR.rtpengine.set_rtpengine_set(KSR.pv.get(RELAY_SET))
            KSR.rtpengine.rtpengine_answer(MEDIA_FLAGS)
        return 1

    def ksr_failure_unanswered(self, msg):  # busy, cancelled, not answered
        self.hang_up(KSR.pv.get("$ci"))
        return 1

    def offer(self, call_id):
        """The INVITE's media goes by the call's relay, whichever proxy asks, and whichever replica it asks."""
        try:
            binding = self._holdfast.select(call_id)
            if self.reach(binding) and KSR.rtpengine.rtpengine_offer(MEDIA_FLAGS) > 0:
                return True
            if KSR.siputils.has_totag() > 0:  # a call in progress moves when its relay has gone, and not before
                return False
            binding = self._holdfast.move(call_id, binding.generation, "its first offer was not answered")
            return self.reach(binding) and KSR.rtpengine.rtpengine_offer(MEDIA_FLAGS) > 0
        except grpc.RpcError as error:
            KSR.err("no relay for %s: %s %s\n" % (call_id, error.code(), error.details()))
            return False

    def hang_up(self, call_id):
        """A BYE goes on whatever happens here: the relay times the media out, and the TTL the binding."""
        try:
            binding = self._holdfast.lookup(call_id)
            if binding:
                if self.reach(binding):
                    KSR.rtpengine.rtpengine_delete("")
                self._holdfast.release(binding)
        except grpc.RpcError as error:
            KSR.err("not released: %s: %s %s\n" % (call_id, error.code(), error.details()))

    def reach(self, binding):
        """From here on the rtpengine functions speak to this relay, in this request and in the replies to it."""
        url = binding.relay.control_url  # empty if the relay has gone
        if url and url not in self._sets:
            self._sets = rtpengine_sets()
        number = self._sets.get(url)
        if number is None:
            KSR.err("no rtpengine_sock for relay %s at '%s'\n" % (binding.relay.id, url))
            return False
        KSR.rtpengine.set_rtpengine_set(number)
        KSR.pv.seti(RELAY_SET, number)
        return True


def rtpengine_sets():
    """The number of each relay's set by its control URL, as Kamailio read them from rtpengine_sock."""
    KSR.jsonrpcs.exec('{"jsonrpc": "2.0", "id": 1, "method": "rtpengine.show", "params": ["all"]}')
    nodes = json.loads(KSR.pv.get("$jsonrpl(body)"))["result"]
    return {node["url"]: node["set"] for node in nodes}
