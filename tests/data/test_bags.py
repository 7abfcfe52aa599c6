"""Bags of ROS 2: joint states become the same log, whichever order their joints come in."""

import numpy as np
import pytest

from discover.data.reading import read_logs
from discover.errors import DatasetError

rosbags = pytest.importorskip("rosbags", reason="the extra 'logs' is not installed")

N, STEP = 200, 0.005
TIME = STEP * np.arange(N)
Q = {"elbow": 0.4 * np.cos(5 * TIME), "shoulder": np.sin(3 * TIME)}
TAU = {"elbow": np.sin(7 * TIME), "shoulder": np.cos(2 * TIME) - 0.2}


def write_bag(path, messages, topic="/joint_states"):
    """messages: (stamp [ns], names, position, effort)."""
    from rosbags.rosbag2 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    kinds = store.types
    with Writer(path, version=9) as writer:
        topics = topic if isinstance(topic, list) else [topic]
        for name in topics:
            link = writer.add_connection(name, "sensor_msgs/msg/JointState", typestore=store)
            for stamp, names, position, effort in messages:
                header = kinds["std_msgs/msg/Header"](
                    stamp=kinds["builtin_interfaces/msg/Time"](
                        sec=stamp // 10**9, nanosec=stamp % 10**9
                    ),
                    frame_id="",
                )
                message = kinds["sensor_msgs/msg/JointState"](
                    header=header,
                    name=list(names),
                    position=np.array(position),
                    velocity=np.zeros(0),
                    effort=np.array(effort),
                )
                raw = store.serialize_cdr(message, "sensor_msgs/msg/JointState")
                writer.write(link, stamp + 3_000_000, raw)
    return path


def stamps(first=1_700_000_000 * 10**9):
    return [first + round(1e9 * t) for t in TIME]


def whole_messages(order=("elbow", "shoulder")):
    return [
        (stamp, order, [Q[j][k] for j in order], [TAU[j][k] for j in order])
        for k, stamp in enumerate(stamps())
    ]


def assert_is_the_motion(log):
    assert np.abs(log.time - TIME).max() < 1e-12
    assert np.abs(log.q - np.stack([Q["shoulder"], Q["elbow"]], axis=1)).max() < 1e-12
    assert np.abs(log.tau - np.stack([TAU["shoulder"], TAU["elbow"]], axis=1)).max() < 1e-12


def test_joint_states_in_the_robots_order(tmp_path, two_joints):
    bag = write_bag(tmp_path / "bag", whole_messages())
    (log,) = read_logs(bag, two_joints)
    assert_is_the_motion(log)
    assert log.v is None


def test_a_publisher_may_change_the_order_of_its_joints(tmp_path, two_joints):
    there, back = whole_messages(), whole_messages(("shoulder", "elbow"))
    bag = write_bag(tmp_path / "bag", [*there[:90], *back[90:]])
    assert_is_the_motion(read_logs(bag, two_joints)[0])


def test_a_bag_among_the_logs_of_a_folder(tmp_path, two_joints):
    write_bag(tmp_path / "bag", whole_messages())
    assert_is_the_motion(read_logs(tmp_path, two_joints)[0])


def test_joints_in_messages_of_their_own_are_interpolated(tmp_path, two_joints):
    apart = []
    for k, stamp in enumerate(stamps()):
        apart.append((stamp, ["shoulder"], [Q["shoulder"][k]], [TAU["shoulder"][k]]))
        late = TIME[k] + 0.002
        apart.append((stamp + 2_000_000, ["elbow"], [0.4 * np.cos(5 * late)], [np.sin(7 * late)]))
    bag = write_bag(tmp_path / "bag", apart)
    (log,) = read_logs(bag, two_joints)
    assert any("interpolated" in note for note in log.notes)
    assert np.abs(log.q[:, 1] - np.interp(log.time + STEP, TIME, Q["elbow"])).max() < 1e-4


def test_several_topics_must_be_chosen_from(tmp_path, two_joints):
    bag = write_bag(tmp_path / "bag", whole_messages(), topic=["/left", "/right"])
    with pytest.raises(DatasetError, match=r"found /left, /right; name it: topic"):
        read_logs(bag, two_joints)
    columns = {
        "time": "time",
        "q": ["position/shoulder", "position/elbow"],
        "tau": ["effort/shoulder", "effort/elbow"],
    }
    layout = {"columns": columns, "topic": "/right"}
    assert_is_the_motion(read_logs(bag, two_joints, layout)[0])


def test_a_damaged_bag_is_one_line(tmp_path, two_joints):
    bag = write_bag(tmp_path / "bag", whole_messages())
    for file in bag.iterdir():
        if file.name != "metadata.yaml":
            file.write_bytes(b"not a bag")
    with pytest.raises(DatasetError, match="not readable as rosbag") as caught:
        read_logs(bag, two_joints)
    assert "\n" not in str(caught.value)
